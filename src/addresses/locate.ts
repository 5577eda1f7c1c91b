import { isIPv4 } from 'node:net';
import { formatAddress } from '../model/address.ts';
import type { Instance } from '../model/instance.ts';
import type { Resolution } from './names.ts';

export type Located =
  /** `trouble`: why the name does not resolve any more; the instance then has the last address of the name. */
  | { readonly kind: 'at'; readonly instance: Instance; readonly trouble: string | undefined }
  | { readonly kind: 'nowhere'; readonly reason: string };

type Refuse = (place: { readonly host: string; readonly port: number }) => string | undefined;

/** Gives an instance the address of its host name, or the reason why it is not served. */
export function locate(instance: Instance, resolution: Resolution | undefined, refuse: Refuse): Located {
  const { address } = instance;
  if (address.family !== 'name') {
    const reason = refuse(address);
    return reason === undefined ? { kind: 'at', instance, trouble: undefined } : { kind: 'nowhere', reason };
  }
  const host = resolution?.address;
  const trouble = resolution?.trouble;
  if (host === undefined) {
    return { kind: 'nowhere', reason: trouble ?? `the name ${address.host} is being looked up` };
  }
  const reason = refuse({ host, port: address.port });
  if (reason !== undefined)
    return { kind: 'nowhere', reason: `the name ${address.host} has the address ${host}: ${reason}` };
  const family = isIPv4(host) ? 'ipv4' : 'ipv6';
  const at = { host, port: address.port, family } as const;
  return {
    kind: 'at',
    instance: { ...instance, address: at, hostName: address.host },
    trouble: trouble && `${trouble}; pointsman uses its last address: ${formatAddress(at)}`,
  };
}
