import { expect } from 'vitest';
import { type Catalog, emptyCatalog } from '../../src/catalog/catalog.ts';
import { foldEvent } from '../../src/catalog/fold-event.ts';
import { revision } from '../../src/model/revision.ts';
import { changeRoutes, conflictsOf, noRoutes, type Routes } from '../../src/render/routes.ts';

export type RouteFields = {
  hosts?: readonly string[];
  paths?: readonly string[];
  strip?: boolean;
  priority?: number;
  match?: object | undefined;
  maintenance?: boolean;
  mode?: string;
  port?: number;
};

type PolicyFields = Readonly<Record<string, { routes: readonly RouteFields[] } | RouteFields>>;

/** Where operators let every service have any priority, unless it says otherwise. */
const anyPriority = { '*': { priority: 1000 } };

export function routesOf(policies: PolicyFields, claims: Readonly<Record<string, object>> = anyPriority) {
  const { services } = catalogOf(policies, claims);
  const table = changeRoutes(noRoutes, services.keys(), services);
  return { table, routes: table.routes, conflicts: conflictsOf(table) };
}

/** Of services that got their policies one after the other, unless it says otherwise. */
export function catalogOf(
  policies: PolicyFields,
  claims: Readonly<Record<string, object>> = {},
  atOnce = false,
): Catalog {
  const keys = [
    ...Object.entries(policies).map(([name, policy]) => [`services/${name}`, policy] as const),
    ...Object.entries(claims).map(([name, claim]) => [`claims/${name}`, claim] as const),
  ];
  const entries = keys.map(([key, value], i) => {
    const at = revision(BigInt(atOnce ? 1 : i + 1));
    return [key, { key, value: JSON.stringify(value), revision: at, leased: false }] as const;
  });
  const event = {
    kind: 'snapshot',
    history: { kind: 'first' },
    revision: revision(1n),
    cluster: 'c',
    entries: new Map(entries),
  } as const;
  const { catalog } = foldEvent(emptyCatalog, event);
  expect([...catalog.rejected.values()]).toEqual([]);
  return catalog;
}

/** As HAProxy looks into the map: the most exact host first, and the longest key. */
export function lookUp(routes: Routes, host: string, path: string): string | undefined {
  const [label, ...domain] = host.split('.');
  for (const pattern of [host, `*.${domain.join('.')}`, `${label}.*`, '*']) {
    const found = [...routes.keys()]
      .filter((key) => `${pattern}${path}/`.startsWith(key))
      .sort((a, b) => b.length - a.length)[0];
    const target = found === undefined ? undefined : routes.get(found);
    if (target !== undefined) return target;
  }
  return undefined;
}

/** As `haproxy/match.lua` looks into the map, for a request that fits the matches that `fits` says. */
export function lookUpMatched(
  routes: Routes,
  host: string,
  path: string,
  fits: (match: string) => boolean,
): string | undefined {
  const [label, ...domain] = host.split('.');
  const segments = `${path}/`.split('/').slice(0, -1);
  for (const pattern of [host, `*.${domain.join('.')}`, `${label}.*`, '*']) {
    for (let length = segments.length; length > 0; length -= 1) {
      const key = `${pattern}${segments.slice(0, length).join('/')}/`;
      const target = routes.get(key);
      const [, service, stripped, ids = ''] = target?.startsWith('?/') ? target.split('/') : [];
      if (target === undefined || service === undefined) {
        if (target !== undefined) return target;
        continue;
      }
      for (const id of ids.split(',')) {
        const [to, segments = '', match] = routes.get(`${key}?${id}`)?.split('/') ?? [];
        if (to !== undefined && match !== undefined && fits(match)) return segments === '0' ? to : `${to}/${segments}`;
      }
      if (stripped !== '-') return stripped === '0' ? service : `${service}/${stripped}`;
    }
  }
  return undefined;
}
