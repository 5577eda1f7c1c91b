import fc from 'fast-check';
import { Map as PersistentMap } from 'immutable';
import { describe, expect, test } from 'vitest';
import { type Catalog, emptyCatalog, foldEvent } from '../catalog/catalog.ts';
import { revision } from '../model/revision.ts';
import { serviceOf } from '../model/route-target.ts';
import { mostFurtherKeys } from './priority-shares.ts';
import { changeRoutes, conflictsOf, formatRoutes, noRoutes, type Routes } from './routes.ts';

type Given = {
  hosts?: readonly string[];
  paths?: readonly string[];
  strip?: boolean;
  priority?: number;
  maintenance?: boolean;
  mode?: string;
  port?: number;
};

type Policies = Readonly<Record<string, { routes: readonly Given[] } | Given>>;

function routesOf(policies: Policies) {
  const { services } = catalogOf(policies);
  const table = changeRoutes(noRoutes, services.keys(), services);
  return { routes: table.routes, conflicts: conflictsOf(table) };
}

/** Of services that got their policies one after the other, unless it says otherwise. */
function catalogOf(policies: Policies, atOnce = false): Catalog {
  const entries = Object.entries(policies).map(([name, policy], i) => {
    const key = `services/${name}`;
    const at = revision(BigInt(atOnce ? 1 : i + 1));
    return [key, { key, value: JSON.stringify(policy), revision: at, leased: false }] as const;
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

/** As the frame looks into the map: the most exact host first, and the longest key. */
function lookUp(routes: Routes, host: string, path: string): string | undefined {
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

describe('routes', () => {
  test('are a key for each host and path, sorted', () => {
    const { routes } = routesOf({
      web: { paths: ['/', '/a/'] },
      api: { routes: [{ hosts: ['*'], paths: ['/api/v1'], strip: true }] },
    });
    expect(formatRoutes(routes)).toBe('*/api/v1/ api/2\nweb.*/ web\nweb.*/a/ web\nweb/ web\nweb/a/ web\n');
  });

  test('that two services claim stay with the one that had its policy first', () => {
    const policies = { b: { hosts: ['x', 'y', 'z'] }, a: { hosts: ['y', 'x', 'a.b'] } };
    const { routes, conflicts } = routesOf(policies);
    expect(['x', 'y', 'z', 'a.b'].map((host) => lookUp(routes, host, '/'))).toEqual(['b', 'b', 'b', 'a']);
    expect(conflicts).toEqual([{ kind: 'route', route: 'x/', more: 1, because: 'older', winner: 'b', loser: 'a' }]);
    const { services } = catalogOf(policies, true);
    const atOnce = changeRoutes(noRoutes, services.keys(), services);
    expect(lookUp(atOnce.routes, 'x', '/')).toBe('a');
    expect(conflictsOf(atOnce)).toMatchObject([{ because: 'first-by-name', winner: 'a', loser: 'b' }]);
  });

  test('of a service by its own name are its own, whoever declared them first', () => {
    const { routes, conflicts } = routesOf({ a: { hosts: ['web', 'web.*'] }, web: {}, b: { hosts: ['web.*'] } });
    expect(['web', 'web.d'].map((host) => lookUp(routes, host, '/'))).toEqual(['web', 'web']);
    expect(conflicts).toEqual([
      { kind: 'route', route: 'web.*/', more: 1, because: 'own-name', winner: 'web', loser: 'a' },
      { kind: 'route', route: 'web.*/', more: 0, because: 'own-name', winner: 'web', loser: 'b' },
    ]);
  });

  test('with a priority are meant to win, which is no conflict', () => {
    const { routes, conflicts } = routesOf({ a: { hosts: ['x'] }, b: { hosts: ['x'], priority: 1 } });
    expect({ found: lookUp(routes, 'x', '/'), conflicts }).toEqual({ found: 'b', conflicts: [] });
  });

  test('without priorities add nothing to the map', () => {
    const { routes } = routesOf({ a: { hosts: ['x.y'] }, b: { hosts: ['*.y', 'x.*'] }, c: { hosts: ['*'] } });
    expect(routes).toEqual(PersistentMap({ 'x.y/': 'a', '*.y/': 'b', 'x.*/': 'b', '*/': 'c' }));
  });

  test('are found by priority, then the most exact host, then the longest path', () => {
    const hosts = ['x', 'y', 'x.d', 'y.d', 'x.e', '*.d', '*.e', 'x.*', 'y.*', '*'];
    const paths = ['/', '/a', '/a/b', '/c'];
    const route = fc.record({
      hosts: fc.constantFrom(...hosts).map((host) => [host]),
      paths: fc.constantFrom(...paths).map((path) => [path]),
      priority: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(route, { minLength: 1, maxLength: 8 }), (routes) => {
        const policies = Object.fromEntries(routes.map((one, i) => [`s${i}`, one]));
        const built = routesOf(policies).routes;
        const requests = ['x', 'y', 'z', 'x.d', 'y.d', 'z.d', 'x.e', 'x.f'].flatMap((host) =>
          ['/', '/a', '/a/b', '/a/b/c', '/c/d', '/ab'].map((path) => [host, path] as const),
        );
        const found = requests.map(([host, path]) => [host, path, lookUp(built, host, path)]);
        expect(found).toEqual(requests.map(([host, path]) => [host, path, rightOne(routes, host, path)]));
      }),
      { numRuns: 400 },
    );
  });
});

describe('further keys of the map', () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

  test('are not made where the map finds the same without them', () => {
    const { routes } = routesOf({
      a: { hosts: ['x.*'], paths: ['/a'], priority: 1 },
      b: { hosts: ['*.d'], paths: numbers(20).map((i) => `/p${i}`) },
      c: { hosts: ['*'], paths: ['/', '/c', '/d'] },
      d: { hosts: ['*.d'] },
    });
    expect([...routes.keys()].filter((key) => key.startsWith('x.d'))).toEqual(['x.d/a/']);
  });

  test('of a few services with priorities are bounded, and the others keep theirs', () => {
    const crowd = Object.fromEntries(
      numbers(8).flatMap((n) => [
        [`label${n}`, { hosts: numbers(64).map((i) => `a${n}-${i}.*`), paths: ['/', '/x', '/y', '/z'], priority: 1 }],
        [`domain${n}`, { hosts: numbers(64).map((i) => `*.b${n}-${i}.c`), paths: ['/', '/p', '/q'] }],
      ]),
    );
    const { routes, conflicts } = routesOf({
      ...crowd,
      well: { hosts: ['*'], paths: ['/.well-known/x'], priority: 100 },
      shop: { hosts: ['shop.example'] },
    });
    expect(routes.size).toBeLessThan(mostFurtherKeys + 5000);
    expect(conflicts.length).toBeGreaterThan(0);
    for (const { kind, loser } of conflicts) expect([kind, loser.slice(0, 5)]).toEqual(['priority', 'label']);
    expect(lookUp(routes, 'shop.example', '/.well-known/x')).toBe('well');
    const over = new Set(conflicts.map(({ winner, loser }) => `${winner} ${loser}`));
    for (const n of numbers(8)) {
      const found = lookUp(routes, `a0-0.b${n}-0.c`, '/');
      expect(found).toBe(over.has(`domain${n} label0`) ? `domain${n}` : 'label0');
    }
  });

  test('of one who has many hosts cost a priority nothing with others', () => {
    const { routes, conflicts } = routesOf({
      web: { hosts: ['web.*'], priority: 1 },
      small: { hosts: ['*.small.example'] },
      ...Object.fromEntries(
        numbers(110).map((n) => [
          `big${n}`,
          { routes: numbers(16).map((r) => ({ hosts: numbers(64).map((i) => `*.b${n}-${r}-${i}.c`) })) },
        ]),
      ),
    });
    expect(lookUp(routes, 'web.small.example', '/')).toBe('web');
    expect(new Set(conflicts.map(({ loser }) => loser))).toEqual(new Set(['web']));
    expect(conflicts.length).toBeLessThan(20);
  });
});

test('routes that were changed one service at a time are those that were made at once', () => {
  const route = fc.record({
    hosts: fc.subarray(['x', 'y', '*.d', 'x.*', '*'], { minLength: 0 }),
    paths: fc.subarray(['/', '/a', '/a/b'], { minLength: 1 }),
    strip: fc.boolean(),
    priority: fc.constantFrom(0, 0, 0, 1),
  });
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'x');
  const change = fc.tuple(
    name,
    fc.option(fc.oneof(route, fc.constant({ maintenance: true }), fc.constant({ mode: 'tcp', port: 5432 }))),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const policies: Record<string, Given> = {};
      let table = noRoutes;
      for (const [service, policy] of changes) {
        if (policy === null) delete policies[service];
        else policies[service] = policy;
        const { services } = catalogOf(policies);
        const names = new Set([...table.services.keys(), ...services.keys()]);
        table = changeRoutes(table, names, services);
        const anew = changeRoutes(noRoutes, services.keys(), services);
        expect(formatRoutes(table.routes)).toBe(formatRoutes(anew.routes));
        expect(conflictsOf(table)).toEqual(conflictsOf(anew));
        expect(table.claims.toJS()).toEqual(anew.claims.toJS());
        expect(table.tcp.toJS().sort()).toEqual(anew.tcp.toJS().sort());
        expect(table.priorities.toJS()).toEqual(anew.priorities.toJS());
        expect(changeRoutes(table, names, services)).toBe(table);
      }
    }),
    { numRuns: 200 },
  );
});

/** What should be found, by looking at every route. */
function rightOne(
  routes: readonly { hosts: string[]; paths: string[]; priority: number }[],
  host: string,
  path: string,
): string | undefined {
  const [label = '', ...domain] = host.split('.');
  const order = [host, `*.${domain.join('.')}`, `${label}.*`, '*'];
  const matching = routes
    .map((route, i) => ({ ...route, name: `s${i}`, host: route.hosts[0] ?? '', path: route.paths[0] ?? '' }))
    .map((route) => ({ ...route, exactness: order.indexOf(route.host) }))
    .filter((route) => route.exactness !== -1 && (route.path === '/' || `${path}/`.startsWith(`${route.path}/`)))
    .sort((a, b) => b.priority - a.priority || a.exactness - b.exactness || b.path.length - a.path.length);
  return matching[0]?.name;
}

test('a target names its service', () => {
  const { routes } = routesOf({ web: { hosts: ['x'], paths: ['/a'], strip: true } });
  expect([...routes.values()].map(serviceOf)).toEqual(['web']);
});
