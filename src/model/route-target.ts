import { parseServiceName, type ServiceName } from './name.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';

/**
 * A value in the route map. The value of a route is its service, `web`, or the service with the number of segments that
 * HAProxy removes from the path, `web/2`. The value of a service is its state: see `service-state.ts`.
 */
export type RouteTarget = Brand<string, 'RouteTarget'>;

/** The target of a route to this service that strips so many segments of the path. */
export function routeTarget(service: ServiceName, stripped = 0): RouteTarget {
  return (stripped === 0 ? service : `${service}/${stripped}`) as RouteTarget;
}

/** Reads what `routeTarget` or `formatState` wrote. */
export function parseRouteTarget(text: string): Parsed<RouteTarget> {
  if (isState(text)) return accepted(text as RouteTarget);
  const [name = '', stripped, ...rest] = text.split('/');
  const service = parseServiceName(name);
  if (!service.ok) return service;
  return rest.length === 0 && (stripped === undefined || /^[1-9]$/.test(stripped))
    ? accepted(text as RouteTarget)
    : rejected(`${quote(text)} is not a route's target: a service, or a service/segments`);
}

/** The service that a route leads to. */
export function serviceOfTarget(target: RouteTarget): ServiceName {
  return target.split('/', 1)[0] as ServiceName;
}

/** Whether this is what `formatState` writes. */
const isState = (text: string): boolean => /^(maintenance|pause\/[1-9][0-9]{0,8})$/.test(text);

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
