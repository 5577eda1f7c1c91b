import { Fault } from '../model/fault.ts';
import { serviceOfKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import { didYouMean } from '../model/nearest.ts';
import type { Registry } from '../registry/registry.ts';
import { readIfThere } from './read-if-there.ts';

/** Fault `not-found` for a service without a policy and instances, with the name that was probably meant. */
export async function unknownService(registry: Registry, service: ServiceName, hint?: string): Promise<Fault> {
  const listings = await Promise.all(['instances/', 'services/'].map((prefix) => readIfThere(registry, prefix)));
  const names = new Set(listings.flatMap(({ entries }) => entries.map(({ key }) => serviceOfKey(key) ?? '')));
  const hints = [didYouMean(service, names), hint].filter((one) => one !== undefined);
  return new Fault('not-found', `no service ${service} is known`, {
    hint: hints.length === 0 ? 'pointsman status shows those that are' : hints.join(' '),
  });
}
