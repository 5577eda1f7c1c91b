import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Catalog, emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import type { ServiceName } from '../model/name.ts';
import { segmentsOf } from '../model/policy/routes.ts';
import { revision } from '../model/revision.ts';
import { routeTarget, serviceOfTarget } from '../model/route-target.ts';
import { mostFurtherKeys, overruledBy } from './priority-shares.ts';
import { claimsByHost } from './route-claims.ts';
import { cappedPrioritiesOver, changeRoutes, conflictsOf, formatRoutes, noRoutes, type Routes } from './routes.ts';

type RouteFields = {
  hosts?: readonly string[];
  paths?: readonly string[];
  strip?: boolean;
  priority?: number;
  maintenance?: boolean;
  mode?: string;
  port?: number;
};

type PolicyFields = Readonly<Record<string, { routes: readonly RouteFields[] } | RouteFields>>;

/** Where operators let every service have any priority, unless it says otherwise. */
const anyPriority = { '*': { priority: 1000 } };

function routesOf(policies: PolicyFields, claims: Readonly<Record<string, object>> = anyPriority) {
  const { services } = catalogOf(policies, claims);
  const table = changeRoutes(noRoutes, services.keys(), services);
  return { table, routes: table.routes, conflicts: conflictsOf(table) };
}

/** Of services that got their policies one after the other, unless it says otherwise. */
function catalogOf(policies: PolicyFields, claims: Readonly<Record<string, object>> = {}, atOnce = false): Catalog {
  const keys = [
    ...Object.entries(policies).map(([name, policy]) => [`services/${name}`, policy] as const),
    ...Object.entries(claims).map(([name, allowance]) => [`claims/${name}`, allowance] as const),
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
    const { services } = catalogOf(policies, {}, true);
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
    expect(Object.fromEntries(routes)).toEqual({ 'x.y/': 'a', '*.y/': 'b', 'x.*/': 'b', '*/': 'c' });
  });

  test('are found by priority, then the most exact host, then the longest path; those of one service as it orders them', () => {
    const hosts = ['x', 'y', 'x.d', 'y.d', 'x.e', '*.d', '*.e', 'x.*', 'y.*', '*'];
    const paths = ['/', '/a', '/a/b', '/c'];
    const route = fc.record({
      hosts: fc.constantFrom(...hosts).map((host) => [host]),
      paths: fc.constantFrom(...paths).map((path) => [path]),
      strip: fc.boolean(),
      priority: fc.integer({ min: -1, max: 2 }),
    });
    const service = fc.record({
      routes: fc.oneof(fc.tuple(route), fc.array(route, { minLength: 1, maxLength: 3 })),
      most: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(service, { minLength: 1, maxLength: 6 }), (services) => {
        const policies = Object.fromEntries(services.map(({ routes }, i) => [`s${i}`, { routes }]));
        const claims = Object.fromEntries(services.map(({ most }, i) => [`s${i}`, { priority: most }]));
        const built = routesOf(policies, claims).routes;
        const requests = ['x', 'y', 'z', 'x.d', 'y.d', 'z.d', 'x.e', 'x.f'].flatMap((host) =>
          ['/', '/a', '/a/b', '/a/b/c', '/c/d', '/ab'].map((path) => [host, path] as const),
        );
        const found = requests.map(([host, path]) => [host, path, lookUp(built, host, path)]);
        expect(found).toEqual(requests.map(([host, path]) => [host, path, rightOne(services, host, path)]));
      }),
      { numRuns: 100 },
    );
  });
});

describe('what no claim allows', () => {
  const everything = { hosts: ['*'], priority: 1000 };

  test('a priority takes nothing from other services, and both are told', () => {
    const policies = { web: {}, shop: { hosts: ['shop.example'] }, evil: everything };
    const { routes, conflicts, table } = routesOf(policies, {});
    expect(['web', 'web.d', 'shop.example', 'else'].map((host) => lookUp(routes, host, '/'))).toEqual([
      'web',
      'web',
      'shop',
      'evil',
    ]);
    const capped = { kind: 'capped-priority', priority: 1000, counts: 0, loser: 'evil' };
    expect(conflicts).toEqual([
      { ...capped, winner: 'shop' },
      { ...capped, winner: 'web' },
    ]);
    expect(cappedPrioritiesOver(table, 'web' as ServiceName)).toEqual([{ ...capped, winner: 'web' }]);
    expect(cappedPrioritiesOver(table, 'evil' as ServiceName)).toEqual([]);
    // Its own requests are no conflict.
    expect(routesOf({ web: { hosts: ['x'] }, api: { hosts: ['y'], priority: 5 } }, {}).conflicts).toEqual([]);
  });

  test('a priority counts as far as the claim of the service says, or that of all', () => {
    const policies = {
      web: { hosts: ['x'] },
      api: { hosts: ['*'], paths: ['/api'], priority: 7 },
      b: { hosts: ['*'], paths: ['/b'], priority: 7 },
      low: { hosts: ['x'], paths: ['/api'], priority: 5 },
    };
    const found = (claims: Readonly<Record<string, object>>) => {
      const { routes } = routesOf(policies, claims);
      return ['/api', '/b'].map((path) => lookUp(routes, 'x', path));
    };
    expect(found({})).toEqual(['low', 'web']);
    expect(found({ '*': { priority: 5 } })).toEqual(['low', 'b']);
    expect(found({ '*': { priority: 1000 } })).toEqual(['api', 'b']);
    expect(found({ '*': { priority: 5 }, b: { hosts: ['*'] }, api: { priority: 6 } })).toEqual(['api', 'b']);
    expect(found({ '*': { priority: 5 }, b: { priority: 0 }, api: { priority: 0 } })).toEqual(['low', 'web']);
  });

  test('a host is left out, the other hosts and its own name are served, and the service is told', () => {
    const claims = { '*': { hosts: [] }, web: { hosts: ['*.shop.example', 'a.*', 'web.example'] } };
    const hosts = ['web.example', 'de.shop.example', 'a.*', 'a.b', 'de.at.shop.example', '*.example', 'web', '*'];
    const { routes, conflicts } = routesOf({ web: { hosts }, api: { hosts: ['api.*', 'x'] }, plain: {} }, claims);
    expect([...routes.keys()].sort()).toEqual(
      ['a.*/', 'a.b/', 'api.*/', 'de.shop.example/', 'plain.*/', 'plain/', 'web.example/', 'web/'].sort(),
    );
    expect(conflicts).toEqual([
      { kind: 'host', host: 'x', others: [], more: 0, winner: undefined, loser: 'api' },
      {
        kind: 'host',
        host: '*',
        others: ['*.example', 'de.at.shop.example'],
        more: 2,
        winner: undefined,
        loser: 'web',
      },
    ]);
  });

  test('a priority still orders the routes of the service itself', () => {
    const routes = [
      { hosts: ['shop.example'] },
      { hosts: ['*'], paths: ['/api'], strip: true, priority: 10 },
      { hosts: ['*.other'] },
      { hosts: ['a.*'], paths: ['/x'], strip: true, priority: 10 },
    ];
    const built = routesOf({ api: { hosts: ['shop.example'], paths: ['/api/v2'] }, web: { routes } }, {});
    expect(lookUp(built.routes, 'shop.example', '/api/users')).toBe('web/1');
    expect(lookUp(built.routes, 'shop.example', '/api/v2')).toBe('api');
    expect(lookUp(built.routes, 'a.other', '/x')).toBe('web/1');
    expect(lookUp(built.routes, 'b.other', '/x')).toBe('web');
  });

  test('whatever a later policy says, requests of earlier services are answered as before at hosts and paths as exact', () => {
    const given = fc.record({
      hosts: fc.subarray(['x', 'x.d', '*.d', 'x.*', '*'], { minLength: 1 }),
      paths: fc.subarray(['/', '/a', '/a/b'], { minLength: 1 }),
      strip: fc.boolean(),
      priority: fc.constantFrom(-1000, 0, 1, 1000),
    });
    const policy = fc.array(given, { minLength: 1, maxLength: 3 }).map((routes) => ({ routes }));
    fc.assert(
      fc.property(fc.array(policy, { minLength: 1, maxLength: 3 }), policy, fc.boolean(), (earlier, later, isFirst) => {
        const before = Object.fromEntries(earlier.map((one, i) => [`s${i}`, one]));
        const past = routesOf(before, {}).routes;
        const name = isFirst ? 'a' : 'z';
        const present = routesOf({ ...before, [name]: later }, {}).routes;
        for (const host of ['x', 'x.d', 'y.d', 'x.e', 'y']) {
          for (const path of ['/', '/a', '/a/b', '/c']) {
            const [was, is] = [lookUp(past, host, path), lookUp(present, host, path)];
            if (is === was || was === undefined) continue;
            // It is another service's route only if that one is more exact, or the earlier one asked to come last.
            expect(is?.split('/')[0]).toBe(name);
            const [own, theirs] = [later.routes, before[was.split('/')[0] ?? '']?.routes ?? []].map((routes) =>
              routes.filter((one) => one.priority >= 0).map((one) => mostExact(one, host, path)),
            );
            const [mine = [9, 9], other = [9, 9]] = [own, theirs].map((found) => found?.sort(byExactness)[0]);
            const asksToComeLast = before[was.split('/')[0] ?? '']?.routes.some(({ priority }) => priority < 0);
            if (!asksToComeLast) expect(byExactness(mine, other)).toBeLessThan(0);
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});

/** How exact a route matches a request: the host's rank, and minus the path's length; [9, 9] if it does not. */
function mostExact({ hosts, paths }: RouteFields, host: string, path: string): readonly [number, number] {
  const [label, ...domain] = host.split('.');
  const order = [host, `*.${domain.join('.')}`, `${label}.*`, '*'];
  const rank = Math.min(...(hosts ?? []).map((one) => order.indexOf(one)).filter((at) => at >= 0), 9);
  const lengths = (paths ?? []).filter((one) => one === '/' || `${path}/`.startsWith(`${one}/`));
  return rank === 9 || lengths.length === 0 ? [9, 9] : [rank, -Math.max(...lengths.map(({ length }) => length))];
}

const byExactness = (a: readonly [number, number], b: readonly [number, number]): number => a[0] - b[0] || a[1] - b[1];

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
    expect([...routes].length).toBeLessThan(mostFurtherKeys + 5000);
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
    const { table } = routesOf({
      web: { hosts: ['web.*'], priority: 1 },
      small: { hosts: ['*.small.example'] },
      ...Object.fromEntries(numbers(11).map((n) => [`big${n}`, { hosts: numbers(60).map((i) => `*.b${n}-${i}.c`) }])),
    });
    const byHost = claimsByHost([...table.claims.values()].flat());
    expect(overruledBy(byHost, 661)).toEqual(new Map());
    const overruled = overruledBy(byHost, 600);
    expect(overruled.size).toBe(2);
    expect(overruled.has('small' as ServiceName)).toBe(false);
    for (const losers of overruled.values()) expect([...losers]).toEqual(['web']);
  });
});

test('routes that were changed one service at a time are those that were made at once', () => {
  const route = fc.record({
    hosts: fc.subarray(['x', 'y', '*.d', 'x.*', '*'], { minLength: 0 }),
    paths: fc.subarray(['/', '/a', '/a/b'], { minLength: 1 }),
    strip: fc.boolean(),
    priority: fc.constantFrom(0, 0, 0, 1, 2),
  });
  const claims = fc.constantFrom<Readonly<Record<string, object>>>(
    {},
    {},
    { '*': { priority: 1 } },
    { a: { priority: 2 }, '*': { hosts: ['x', '*.d'] } },
    { b: { hosts: [] } },
  );
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'x');
  const change = fc.tuple(
    name,
    fc.option(fc.oneof(route, fc.constant({ maintenance: true }), fc.constant({ mode: 'tcp', port: 5432 }))),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(change, claims), { maxLength: 12 }), (changes) => {
      const policies: Record<string, RouteFields> = {};
      let table = noRoutes;
      for (const [[service, policy], allowances] of changes) {
        if (policy === null) delete policies[service];
        else policies[service] = policy;
        const { services } = catalogOf(policies, allowances);
        const names = new Set([...table.services.keys(), ...services.keys()]);
        table = changeRoutes(table, names, services);
        const anew = changeRoutes(noRoutes, services.keys(), services);
        expect(formatRoutes(table.routes)).toBe(formatRoutes(anew.routes));
        expect(conflictsOf(table)).toEqual(conflictsOf(anew));
        expect(table.claims.toJS()).toEqual(anew.claims.toJS());
        expect(table.tcp.toJS().sort()).toEqual(anew.tcp.toJS().sort());
        expect(table.priorities.toJS()).toEqual(anew.priorities.toJS());
        expect(table.bounded.toJS().sort()).toEqual(anew.bounded.toJS().sort());
        expect(changeRoutes(table, names, services)).toBe(table);
      }
    }),
    { numRuns: 100 },
  );
});

/** The expected route, by looking at every route. */
function rightOne(
  services: readonly {
    readonly routes: readonly { hosts: string[]; paths: string[]; strip: boolean; priority: number }[];
    readonly most: number;
  }[],
  host: string,
  path: string,
): string | undefined {
  const [label = '', ...domain] = host.split('.');
  const order = [host, `*.${domain.join('.')}`, `${label}.*`, '*'];
  const routes = services
    .flatMap(({ routes, most }, i) =>
      routes.map(({ hosts: [pattern = ''], paths: [prefix = ''], strip, priority }) => ({
        ...{ service: `s${i}`, host: pattern, path: prefix, own: priority, priority: Math.min(priority, most) },
        exactness: order.indexOf(pattern),
        target: routeTarget(`s${i}` as ServiceName, strip ? segmentsOf(prefix) : 0),
      })),
    )
    .sort((a, b) => b.priority - a.priority || a.service.localeCompare(b.service) || b.own - a.own);
  // One service has a host and a path: the first that has its policy.
  const isFirst = (one: (typeof routes)[number]) =>
    routes.find(({ host, path }) => host === one.host && path === one.path) === one;
  const matching = routes
    .filter(isFirst)
    .filter((route) => route.exactness !== -1 && (route.path === '/' || `${path}/`.startsWith(`${route.path}/`)))
    .sort((a, b) => a.exactness - b.exactness || b.path.length - a.path.length);
  const [first] = matching.toSorted((a, b) => b.priority - a.priority);
  return matching.filter(({ service }) => service === first?.service).sort((a, b) => b.own - a.own)[0]?.target;
}

test('a target names its service', () => {
  const { routes } = routesOf({ web: { hosts: ['x'], paths: ['/a'], strip: true } });
  expect([...routes].map(([, target]) => serviceOfTarget(target))).toEqual(['web']);
});
