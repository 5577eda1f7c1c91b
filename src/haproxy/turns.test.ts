import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ServiceName } from '../model/name.ts';
import type { RouteTarget } from '../model/route-target.ts';
import { RouteMap } from '../render/route-map.ts';
import { describeStep, type Step } from './step.ts';
import { closing, inTurns, nextSlice, touchedBy } from './turns.ts';

const noRoutes = RouteMap.empty;
const add = (backend: string, name: string): Step => ({
  kind: 'add-server',
  backend,
  server: { name, host: '10.0.0.1', port: 80, weight: 1, disabled: false, check: false, keywords: '' },
});
const many = (backend: string, count: number) => Array.from({ length: count }, (_, i) => add(backend, `i${i}`));
const remove = (backend: string): Step => ({ kind: 'remove-server', backend, name: 'i' });
const setRoute = (route: string, target: string): Step => ({
  kind: 'set-route',
  route,
  target: target as RouteTarget,
});
const backendOf = (step: Step) => ('backend' in step ? step.backend : undefined);

test('all steps of a service with few come before most steps of services with many, which take turns', () => {
  const steps = [...many('evil', 100), ...many('big', 50), add('web', 'a'), remove('web')];
  const ordered = inTurns(steps, noRoutes);
  expect(ordered.slice(0, 2).map(backendOf)).toEqual(['web', 'web']);
  expect(ordered.slice(2, 18).map(backendOf)).toEqual([...Array(8).fill('evil'), ...Array(8).fill('big')]);
});

test('every step is done once, and those of one service in their order', () => {
  const backends = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 30 })));
  fc.assert(
    fc.property(backends, fc.integer({ min: 1, max: 9 }), (groups, turn) => {
      const steps = groups.flatMap(([backend, count], i) => many(`${backend}`, count).map((s) => ({ ...s, i })));
      const ordered = inTurns(steps, noRoutes, turn);
      for (const name of ['a', 'b', 'c', 'd'])
        expect(ordered.filter((s) => backendOf(s) === name)).toEqual(steps.filter((s) => backendOf(s) === name));
      expect(ordered.length).toBe(steps.length);
    }),
  );
});

test('a service keeps its servers until its route leads to the service that takes its place', () => {
  const routes = RouteMap.of([['a.example/', 'old' as RouteTarget]]);
  const steps = [...many('new', 100), setRoute('a.example/', 'new'), remove('old')];
  expect(inTurns(steps, routes).slice(-2)).toEqual(steps.slice(-2));
});

test('a route stays behind the routes of other services that it was planned behind and that share requests with it', () => {
  const own = Array.from({ length: 50 }, (_, i) => setRoute(`h${i}.example/`, 'evil'));
  const [shares, sharesNot] = [setRoute('*.example/', 'web'), setRoute('b.test/', 'api')];
  const ordered = inTurns([...own, shares, sharesNot], noRoutes);
  expect(ordered[0]).toBe(sharesNot);
  expect(ordered.at(-1)).toBe(shares);
});

test('a round that stops early gives cookies to the servers that it added, and publishes the backends that it made', () => {
  const backend = 'web';
  const made: Step = { kind: 'add-backend', backend, policy: 'p', mode: 'http' };
  const [cookies, published]: Step[] = [
    { kind: 'renew-cookies', backend },
    { kind: 'publish-backend', backend },
  ];
  const rest = [...many('web', 2), cookies, published, { kind: 'renew-cookies', backend: 'api' }] as Step[];
  const { now, later } = closing([made, add('web', 'a')], rest);
  expect(now).toEqual([cookies, published]);
  expect(later.map(describeStep)).toEqual([...many('web', 2), rest[4] as Step].map(describeStep));
});

test('what is left is planned again with all that was touched of its services', () => {
  const routes = RouteMap.of([['a.example/', 'old' as RouteTarget]]);
  const mark = { whole: true, instances: new Set<never>() };
  const dirty = new Map([['web' as ServiceName, mark]]);
  const left = touchedBy([setRoute('a.example/', 'new'), add('web', 'a')], routes, dirty);
  expect([...left.keys()]).toEqual(['new', 'old', 'web']);
  expect(left.get('web' as ServiceName)).toBe(mark);
});

test('a slice takes about 25 ms, has at least 32 steps, and grows at most fourfold', () => {
  expect(nextSlice(32, 32 * 30)).toBe(32);
  expect(nextSlice(128, 50)).toBe(64);
  expect(nextSlice(32, 0.5)).toBe(128);
});
