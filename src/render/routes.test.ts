import fc from 'fast-check';
import { expect, test } from 'vitest';
import { catalogOf, lookUp, lookUpMatched, type RouteFields, routesOf } from '../../test/support/routes.ts';
import type { ServiceName } from '../model/name.ts';
import { segmentsOf } from '../model/policy/routes.ts';
import { routeTarget, serviceOfTarget } from '../model/route-target.ts';
import { claimsByHost } from './deciding-routes.ts';
import { mostFurtherKeys, overruledBy } from './priority-shares.ts';
import { changeRoutes, conflictsOf, formatRoutes, noRoutes } from './routes.ts';

test('routes are a key for each host and path, sorted', () => {
  const { routes } = routesOf({
    web: { paths: ['/', '/a/'] },
    api: { routes: [{ hosts: ['*'], paths: ['/api/v1'], strip: true }] },
  });
  expect(formatRoutes(routes)).toBe('*/api/v1/ api/2\nweb.*/ web\nweb.*/a/ web\nweb/ web\nweb/a/ web\n');
});

test('routes that two services claim stay with the one that had its policy first', () => {
  const policies = { b: { hosts: ['x', 'y', 'z'] }, a: { hosts: ['y', 'x', 'a.b'] } };
  const { routes, conflicts } = routesOf(policies);
  expect(['x', 'y', 'z', 'a.b'].map((host) => lookUp(routes, host, '/'))).toEqual(['b', 'b', 'b', 'a']);
  expect(conflicts).toEqual([{ kind: 'route', route: 'x/', more: 1, because: 'older', winner: 'b', loser: 'a' }]);
  const { services } = catalogOf(policies, {}, true);
  const atOnce = changeRoutes(noRoutes, services.keys(), services);
  expect(lookUp(atOnce.routes, 'x', '/')).toBe('a');
  expect(conflictsOf(atOnce)).toMatchObject([{ because: 'first-by-name', winner: 'a', loser: 'b' }]);
});

test('routes of a service by its own name are its own, whoever declared them first', () => {
  const { routes, conflicts } = routesOf({ a: { hosts: ['web', 'web.*'] }, web: {}, b: { hosts: ['web.*'] } });
  expect(['web', 'web.d'].map((host) => lookUp(routes, host, '/'))).toEqual(['web', 'web']);
  expect(conflicts).toEqual([
    { kind: 'route', route: 'web.*/', more: 1, because: 'own-name', winner: 'web', loser: 'a' },
    { kind: 'route', route: 'web.*/', more: 0, because: 'own-name', winner: 'web', loser: 'b' },
  ]);
});

test('routes with a priority are meant to win, which is no conflict', () => {
  const { routes, conflicts } = routesOf({ a: { hosts: ['x'] }, b: { hosts: ['x'], priority: 1 } });
  expect({ found: lookUp(routes, 'x', '/'), conflicts }).toEqual({ found: 'b', conflicts: [] });
});

test('routes without priorities add nothing to the map', () => {
  const { routes } = routesOf({ a: { hosts: ['x.y'] }, b: { hosts: ['*.y', 'x.*'] }, c: { hosts: ['*'] } });
  expect(Object.fromEntries(routes)).toEqual({ 'x.y/': 'a', '*.y/': 'b', 'x.*/': 'b', '*/': 'c' });
});

test('routes are found by priority, then the most exact host, then the longest path; those of one service as it orders them', () => {
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

test('routes with a match are found by host, path, conditions and age', () => {
  const matches = [undefined, { method: 'GET' }, { method: 'GET', headers: { a: '1' } }, { query: { b: '1' } }];
  const texts = ['m:GET', 'm:GET&he:a:1', 'qe:b:1'];
  const route = fc.record({
    hosts: fc.constantFrom('x.d', '*.d', 'x.*', '*').map((host) => [host]),
    paths: fc.constantFrom('/', '/a', '/a/b').map((path) => [path]),
    match: fc.constantFrom(...matches),
  });
  fc.assert(
    fc.property(fc.array(route, { minLength: 1, maxLength: 8 }), fc.subarray(texts), (routes, fitting) => {
      const built = routesOf(Object.fromEntries(routes.map((one, i) => [`s${i}`, one]))).routes;
      const rank = ['x.d', '*.d', 'x.*', '*'];
      for (const path of ['/', '/a', '/a/b/c', '/b']) {
        const right = routes
          .map((one, i) => ({
            name: `s${i}`,
            host: rank.indexOf(one.hosts[0] ?? ''),
            path: one.paths[0] ?? '',
            match: matches.indexOf(one.match),
            conditions: [0, 1, 2, 1][matches.indexOf(one.match)] ?? 0,
          }))
          .filter((one) => `${path}/`.startsWith(one.path === '/' ? '/' : `${one.path}/`))
          .filter(({ match }) => match === 0 || fitting.includes(texts[match - 1] ?? ''))
          .sort((a, b) => a.host - b.host || b.path.length - a.path.length || b.conditions - a.conditions)[0]?.name;
        expect(lookUpMatched(built, 'x.d', path, (match) => fitting.includes(match))).toBe(right);
      }
    }),
    { numRuns: 300 },
  );
});

test('a match takes no requests by the name of another service, unless its priority is higher', () => {
  const match = { method: 'GET' };
  const found = (policies: Parameters<typeof routesOf>[0]) => {
    const { routes, conflicts } = routesOf(policies);
    return { get: lookUpMatched(routes, 'web', '/', () => true), losers: conflicts.map(({ loser }) => loser) };
  };
  expect(found({ evil: { hosts: ['web'], match }, web: {} })).toEqual({ get: 'web', losers: ['evil'] });
  expect(found({ evil: { hosts: ['web'], match, priority: 1 }, web: {} })).toEqual({ get: 'evil', losers: [] });
  expect(found({ evil: { hosts: ['web'], match, priority: 1 }, web: { priority: 2 } }).get).toBe('web');
  expect(found({ web: { routes: [{}, { match, strip: true, paths: ['/'] }] } }).losers).toEqual([]);
});

test('a list of matches is bounded, and the oldest ones are in it', () => {
  const policies = Object.fromEntries(
    numbers(70).map((i) => [`s${i}`, { hosts: ['x'], match: { headers: { a: `${i}` } } }]),
  );
  const { routes, conflicts } = routesOf({ ...policies, web: { hosts: ['x'] } });
  const list = routes.get('x/') ?? '';
  expect(list.split(',')).toHaveLength(64);
  expect(list.startsWith('?/web/0/')).toBe(true);
  const found = (value: string) => lookUpMatched(routes, 'x', '/', (match) => match === `he:a:${value}`);
  expect([found('0'), found('63'), found('64')]).toEqual(['s0', 's63', 'web']);
  expect(conflicts.map(({ loser }) => loser).sort()).toEqual(['s64', 's65', 's66', 's67', 's68', 's69']);
  expect(conflicts[0]).toMatchObject({ kind: 'route', because: 'crowded', winner: 's0' });
});

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

test('further keys of the map are not made where the map finds the same without them', () => {
  const { routes } = routesOf({
    a: { hosts: ['x.*'], paths: ['/a'], priority: 1 },
    b: { hosts: ['*.d'], paths: numbers(20).map((i) => `/p${i}`) },
    c: { hosts: ['*'], paths: ['/', '/c', '/d'] },
    d: { hosts: ['*.d'] },
  });
  expect([...routes.keys()].filter((key) => key.startsWith('x.d'))).toEqual(['x.d/a/']);
});

test('further keys of a few services with priorities are bounded, and the others keep theirs', () => {
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

test('a service with many hosts costs a priority nothing with other services', () => {
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

test('routes that were changed one service at a time are those that were made at once', () => {
  const route = fc.record({
    hosts: fc.subarray(['x', 'y', '*.d', 'x.*', '*'], { minLength: 0 }),
    paths: fc.subarray(['/', '/a', '/a/b'], { minLength: 1 }),
    strip: fc.boolean(),
    priority: fc.constantFrom(0, 0, 0, 1, 2),
    match: fc.constantFrom(undefined, undefined, { method: 'GET' }, { method: 'GET', query: { a: '1' } }),
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
      for (const [[service, policy], ofOperators] of changes) {
        if (policy === null) delete policies[service];
        else policies[service] = policy;
        const { services } = catalogOf(policies, ofOperators);
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
