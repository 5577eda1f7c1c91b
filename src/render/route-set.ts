import { patternsOver, rankOf } from '../model/route.ts';
import { isRouteKey, type RouteTarget } from '../model/route-target.ts';

/** Routes by host pattern, to be asked which of them share requests with another one. */
export class RouteSet {
  readonly #pathsByHost = new Map<string, string[]>();

  constructor(routes: Iterable<string> = []) {
    for (const route of routes) if (isRouteKey(route)) this.add(route);
  }

  /** How many host patterns the routes have: so many are compared when one is asked for. */
  get hosts(): number {
    return this.#pathsByHost.size;
  }

  add(route: string): void {
    const { host, path } = split(route);
    const known = this.#pathsByHost.get(host);
    if (known === undefined) this.#pathsByHost.set(host, [path]);
    else known.push(path);
  }

  /** Whether one of them takes some of the requests that would otherwise find this route. */
  hasBelow(route: string): boolean {
    const { host, path } = split(route);
    for (const [other, paths] of this.#pathsByHost) {
      const more = rankOf(other) < rankOf(host) && overlap(other, host);
      const isBelow = (one: string) => related(one, path) && (more || one.length > path.length);
      if ((more || other === host) && paths.some(isBelow)) return true;
    }
    return false;
  }

  /** Whether some requests of this route would find one of them if this route were not there. */
  hasOver(route: string): boolean {
    const { host, path } = split(route);
    for (const [other, paths] of this.#pathsByHost) {
      const less = rankOf(other) > rankOf(host) && overlap(other, host);
      const isOver = (one: string) => related(one, path) && (less || one.length < path.length);
      if ((less || other === host) && paths.some(isOver)) return true;
    }
    return false;
  }
}

/** Whether a request may have both paths. */
export const related = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);

/** Whether a host may match both patterns. */
export function overlap(a: string, b: string): boolean {
  if (a.includes(':') || b.includes(':')) return patternsOver(a).includes(b) || patternsOver(b).includes(a);
  const [less, more] = rankOf(a) > rankOf(b) ? [a, b] : [b, a];
  if (less === '*') return true;
  if (rankOf(more) > 0) return true;
  return less.startsWith('*.')
    ? more.slice(more.indexOf('.')) === less.slice(1)
    : more.split('.', 1)[0] === less.slice(0, -2);
}

/** Where the requests of a route are led, by this one or a less specific one. */
export function findRoute(
  routes: { get(route: string): RouteTarget | undefined },
  route: string,
): RouteTarget | undefined {
  const { host, path } = split(route);
  for (const pattern of patternsOver(host)) {
    const segments = path.split('/');
    for (let length = segments.length - 1; length > 0; length -= 1) {
      const found = routes.get(`${pattern}${segments.slice(0, length).join('/')}/`);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** The order in which HAProxy looks for routes: the more specific host first, then the longer path. */
export function bySpecificity(a: string, b: string): number {
  const [one, other] = [split(a), split(b)];
  return rankOf(one.host) - rankOf(other.host) || other.path.length - one.path.length;
}

function split(route: string): { readonly host: string; readonly path: string } {
  const slash = route.indexOf('/');
  return { host: route.slice(0, slash), path: route.slice(slash) };
}
