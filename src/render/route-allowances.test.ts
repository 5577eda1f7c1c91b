import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lookUp, type RouteFields, routesOf } from '../../test/support/routes.ts';
import type { ServiceName } from '../model/name.ts';
import { cappedPrioritiesOver } from './routes.ts';

const everything = { hosts: ['*'], priority: 1000 };

test('a priority that no claim allows takes nothing from other services, and both are told', () => {
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

test('a host that no claim allows is left out, the other hosts and its own name are served, and the service is told', () => {
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

test('a priority that no claim allows still orders the routes of the service itself', () => {
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

test('whatever a later policy without a claim says, requests of earlier services are answered as before at hosts and paths as exact', () => {
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

/** How exact a route matches a request: the host's rank, and minus the path's length; [9, 9] if it does not. */
function mostExact({ hosts, paths }: RouteFields, host: string, path: string): readonly [number, number] {
  const [label, ...domain] = host.split('.');
  const order = [host, `*.${domain.join('.')}`, `${label}.*`, '*'];
  const rank = Math.min(...(hosts ?? []).map((one) => order.indexOf(one)).filter((at) => at >= 0), 9);
  const lengths = (paths ?? []).filter((one) => one === '/' || `${path}/`.startsWith(`${one}/`));
  return rank === 9 || lengths.length === 0 ? [9, 9] : [rank, -Math.max(...lengths.map(({ length }) => length))];
}

const byExactness = (a: readonly [number, number], b: readonly [number, number]): number => a[0] - b[0] || a[1] - b[1];
