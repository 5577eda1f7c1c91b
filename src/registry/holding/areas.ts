import { formatAddress } from '../../model/address.ts';
import { type Instance, parseInstance } from '../../model/instance.ts';
import { areaOfKey, parseKey, serviceOfKey } from '../../model/key.ts';
import type { Entry } from '../registry.ts';

/** The service that a key is about; undefined for keys of no service, such as `keys/`. */
export function serviceOf(key: string): string | undefined {
  return isPartOfService(key) || key.startsWith('overrides/') ? serviceOfKey(key) : undefined;
}

/** Whether a service consists of this key: its policy or an instance, but not an override. */
export const isPartOfService = (key: string): boolean => key.startsWith('instances/') || key.startsWith('services/');

/**
 * Whether an entry of pointsman's own tree is held when it vanishes without having been deleted. Entries that are valid for a
 * moment only are not held, and neither is an instance that had announced its leave, nor a record of a set, which no balancer uses.
 */
export function mayHoldOwn(entry: Entry): boolean {
  const area = areaOfKey(entry.key);
  if (['balancers', 'releases', 'waits', 'labels', 'sets', 'challenges'].includes(area)) return false;
  return area !== 'instances' || !entry.leased || instanceOf(entry)?.state === 'ready';
}

/** The application behind an entry: the service and the address of an instance. Undefined for other entries. */
export function applicationOf(entry: Entry): string | undefined {
  const instance = instanceOf(entry);
  return instance && `${instance.service} ${formatAddress(instance.address)}`;
}

function instanceOf({ key, value }: Entry): Instance | undefined {
  const subject = parseKey(key);
  if (!subject.ok || subject.value.kind !== 'instance') return undefined;
  const instance = parseInstance(subject.value.service, subject.value.id, value);
  return instance.ok ? instance.value : undefined;
}
