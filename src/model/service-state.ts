import type { ServiceName } from './name.ts';
import type { RouteTarget } from './route-target.ts';

/** The reason why a service that runs gets no requests. */
export type ServiceState =
  /** They are answered with a page that says so. */
  | { readonly kind: 'maintenance' }
  /** They wait until the pause ends, each at most so long. */
  | { readonly kind: 'pause'; readonly mostMs: number };

const prefix = 'SERVICE:';

/** The key of a service's state in the route map. No request has a host in capitals there, so none is led by it. */
export const stateKey = (service: ServiceName): string => `${prefix}${service}`;

/** Whether a key of the route map holds a state and no route. */
export const isStateKey = (key: string): boolean => key.startsWith(prefix);

/** The service whose state a key of the route map holds. */
export const serviceOfState = (key: string): ServiceName => key.slice(prefix.length) as ServiceName;

/** The state as the route map says it. */
export function formatState(state: ServiceState): RouteTarget {
  return (state.kind === 'maintenance' ? 'maintenance' : `pause/${state.mostMs}`) as RouteTarget;
}
