import { formatAddress } from '../../model/address.ts';
import { type Instance, parseInstance } from '../../model/instance.ts';
import { parseInstanceId, parseServiceName } from '../../model/name.ts';
import type { Entry } from '../registry.ts';

/** The service that a key is about; undefined for keys of no service, such as `keys/`. */
export function serviceOf(key: string): string | undefined {
  if (!isPartOfService(key) && !key.startsWith('overrides/')) return undefined;
  const begin = key.indexOf('/') + 1;
  const end = key.indexOf('/', begin);
  return end === -1 ? key.slice(begin) : key.slice(begin, end);
}

/** Whether a service consists of this key: its policy or an instance, but not an override. */
export const isPartOfService = (key: string): boolean => key.startsWith('instances/') || key.startsWith('services/');

/**
 * Whether an entry of pointsman's own tree is held when it vanishes without having been deleted. Entries that are valid for a
 * moment only are not held, and neither is an instance that had announced its leave.
 */
export function mayHoldOwn(entry: Entry): boolean {
  const [area] = entry.key.split('/');
  if (area === 'balancers' || area === 'releases' || area === 'waits') return false;
  return area !== 'instances' || !entry.leased || instanceOf(entry)?.state === 'ready';
}

/** The application behind an entry: the service and the address of an instance. Undefined for other entries. */
export function applicationOf(entry: Entry): string | undefined {
  const instance = instanceOf(entry);
  return instance && `${instance.service} ${formatAddress(instance.address)}`;
}

function instanceOf({ key, value }: Entry): Instance | undefined {
  const [area, service = '', id = '', ...rest] = key.split('/');
  if (area !== 'instances' || rest.length > 0) return undefined;
  const [name, instanceId] = [parseServiceName(service), parseInstanceId(id)];
  if (!name.ok || !instanceId.ok) return undefined;
  const instance = parseInstance(name.value, instanceId.value, value);
  return instance.ok ? instance.value : undefined;
}
