import type { Service } from '../../src/catalog/service.ts';
import { changeRoutes, noRoutes, type Routes } from '../../src/render/routes.ts';

/** Of each service, the versions that a request may see; undefined where it is not there. */
export type Versions = ReadonlyMap<string, readonly (Service | undefined)[]>;

/** Where the frame leads a request, by the route map. */
export function lookUp(routes: ReadonlyMap<string, string>, host: string, path: string): string | undefined {
  const [label, ...domain] = host.split('.');
  for (const pattern of [host, `*.${domain.join('.')}`, `${label}.*`, '*']) {
    const segments = `${pattern}${path}`.split('/');
    for (let length = segments.length; length > 0; length -= 1) {
      const found = routes.get(`${segments.slice(0, length).join('/')}/`);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** Every choice of one version of each service. */
export function choices(versions: Versions): readonly (readonly Service[])[] {
  let chosen: readonly (readonly Service[])[] = [[]];
  for (const all of versions.values())
    chosen = chosen.flatMap((some) => all.map((one) => (one === undefined ? some : [...some, one])));
  return chosen;
}

/** The route map of these services. */
export function routesOf(services: readonly Service[]): Routes {
  const byName = new Map(services.map((service) => [service.name, service]));
  return changeRoutes(noRoutes, byName.keys(), byName).routes;
}
