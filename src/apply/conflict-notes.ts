import type { FleetView } from '../fleet/fleet-view.ts';
import { areaOfKey, serviceOfKey } from '../model/key.ts';

/**
 * What the services of these keys ask for and do not get because of other services or claims, a line each, as the balancers
 * acknowledge it. A service that no request reaches is not among them, because the balancers refuse it.
 */
export function conflictNotes({ balancers }: FleetView, keys: ReadonlySet<string>): readonly string[] {
  const services = new Set([...keys].filter((key) => areaOfKey(key) === 'services').map(serviceOfKey));
  const balancersOf = new Map<string, string[]>();
  for (const [balancer, acknowledgement] of balancers) {
    if (!acknowledgement.ok) continue;
    const { conflicts, unrouted } = acknowledgement.value;
    for (const [service, conflict] of conflicts) {
      if (!services.has(service) || unrouted.has(service)) continue;
      balancersOf.set(conflict, [...(balancersOf.get(conflict) ?? []), balancer]);
    }
  }
  return [...balancersOf].map(([conflict, some]) =>
    some.length === balancers.size ? conflict : `${some.join(', ')}: ${conflict}`,
  );
}
