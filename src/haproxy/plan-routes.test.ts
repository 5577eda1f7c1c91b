import { describe, expect, test } from 'vitest';
import { baseText, plan, rendered } from '../../test/support/plan.ts';
import { allDirty } from '../model/dirty-set.ts';
import type { ServiceName } from '../model/name.ts';
import type { Rendered } from '../render/rendered.ts';
import { planChanges } from './plan.ts';
import { withdrawable } from './plan-routes.ts';
import { describeStep } from './step.ts';

test('a plan leaves the routes of the services with the most changes to a reload, and changes those of others by command', () => {
  const routes = (service: string, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`${service}${i}/`, service]));
  const services = { evil: { servers: {} }, web: { servers: {} } };
  const before = rendered(services);
  const after = rendered(services, baseText, { ...routes('evil', 9990), ...routes('web', 20) });
  const both = new Set(['evil', 'web'] as ServiceName[]);
  for (const paced of [true, false]) {
    const conditions = { addBackend: false, deletes: true, paced: () => paced };
    const { steps, reload } = planChanges(before, after, allDirty(both), new Map(), conditions);
    expect(steps.map((step) => ('target' in step ? step.target : step.kind))).toEqual(Array(20).fill('web'));
    expect(reload).toEqual([{ kind: 'many-routes', services: ['evil'] }]);
  }
});

test('a plan has no route wait for a service whose reload has to wait for its turn', () => {
  const head = 'backend evil\n    retries 2\n';
  const before = rendered({ evil: { servers: {} }, web: { servers: {} } }, baseText, { 'a/': 'web' });
  const after = rendered({ evil: { head, servers: {} }, web: { servers: {} } }, baseText, {
    'a/': 'web/1',
    'a/x/': 'evil',
  });
  const steps = (paced: boolean) =>
    planChanges(before, after, allDirty(before.backends.keys()), new Map(), {
      ...{ addBackend: false, deletes: true, paced: (service) => paced && service === 'evil' },
    }).steps.map(describeStep);
  expect(steps(false)).toEqual([]);
  expect(steps(true)).toEqual(['set map routes.map a/ web/1']);
});

test('a plan leaves more than 10,000 changes of routes to a reload, where one is possible, but no maintenance and no pause', () => {
  const routes = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}/`, 'web']));
  const having = (all: Readonly<Record<string, string>>) => rendered({ web: { servers: {} } }, baseText, all);
  const few = plan(having({}), having(routes(10_000)));
  expect([few.steps.length, few.reload]).toEqual([10_000, []]);
  expect(plan(having({}), having(routes(10_001)))).toEqual({ steps: [], reload: ['many-routes'] });
  expect(plan(having(routes(10_001)), having({}))).toEqual({ steps: [], reload: ['many-routes'] });
  const obstructed = plan(having({}), having(routes(10_001)), { obstructed: true });
  expect([obstructed.steps.length, obstructed.reload]).toEqual([10_001, []]);
  expect(plan(having({}), having({ ...routes(10_001), 'SERVICE:web': 'maintenance' }))).toEqual({
    steps: ['add map routes.map SERVICE:web maintenance'],
    reload: ['many-routes'],
  });
  expect(plan(having({ 'SERVICE:web': 'maintenance' }), having(routes(10_001))).steps).toEqual([]);
  expect(plan(having({ 'SERVICE:web': 'pause/5000' }), having(routes(10_001))).steps).toEqual([
    'del map routes.map SERVICE:web',
  ]);
});

test('a plan has an instance of a version there while its number counts', () => {
  const before = rendered({ web: { servers: {} } }, baseText, {
    'VERSION:web/v1': 'web/=1:1',
    'VERSION:web/v1/0': 'web/=a',
  });
  const after = rendered({ web: { servers: {} } }, baseText, {
    ...{ 'VERSION:web/v1': 'web/=2:2', 'VERSION:web/v1/0': 'web/=a', 'VERSION:web/v1/1': 'web/=b' },
    ...{ 'VERSION:web/v2': 'web/=1:1', 'VERSION:web/v2/0': 'web/=c' },
  });
  expect(plan(before, after).steps).toEqual([
    'add map routes.map VERSION:web/v2/0 web/=c',
    'add map routes.map VERSION:web/v2 web/=1:1',
    'add map routes.map VERSION:web/v1/1 web/=b',
    'set map routes.map VERSION:web/v1 web/=2:2',
  ]);
  expect(plan(after, before).steps).toEqual([
    'set map routes.map VERSION:web/v1 web/=1:1',
    'del map routes.map VERSION:web/v1/1',
    'del map routes.map VERSION:web/v2',
    'del map routes.map VERSION:web/v2/0',
  ]);
});

describe('the routes in a plan', () => {
  const before = rendered({ web: { servers: {} } }, baseText, { 'a/': 'web', 'SERVICE:web': 'maintenance' });
  const now = (head: string, routes: Readonly<Record<string, string>>) =>
    rendered({ web: { head, servers: {} } }, baseText, routes);
  const steps = (desired: Rendered, more: { certain?: boolean; obstructed?: boolean } = {}) =>
    planChanges(before, desired, allDirty(['web' as ServiceName]), new Map(), {
      addBackend: false,
      deletes: true,
      ...more,
    })
      .steps.map(describeStep)
      .map((step) => step.replace(' routes.map', ''));

  test('routes are changed at once when nothing else of the policy changes: the more exact first, and what ends last', () => {
    expect(steps(now('backend web\n', { 'b/': 'web', 'b/x/': 'web/1' }))).toEqual([
      'add map b/x/ web/1',
      'add map b/ web',
      'del map a/',
      'del map SERVICE:web',
    ]);
  });

  test('routes wait for the reload that brings their rules, with the end of the maintenance', () => {
    expect(steps(now('backend web from policy-a\n', { 'b/': 'web' }))).toEqual([]);
  });

  test('routes that the policy gives up are removed when that reload cannot be done', () => {
    expect(steps(now('backend web from policy-a\n', { 'b/': 'web' }), { obstructed: true })).toEqual(['del map a/']);
  });

  test.each([
    ['a route that is given up', { 'b/': 'web' }, ['a/']],
    ['no route that stays until one below it can be added', { 'a/x/': 'web' }, []],
    ['no route that is served still', { 'a/': 'web', 'b/': 'web' }, []],
  ])('withdrawable says that a plan would remove %s, when that reload cannot be done', (_, routes, removed) => {
    const desired = now('backend web from policy-a\n', routes);
    expect(withdrawable(before, desired, { certain: true })).toEqual(removed);
    expect(steps(desired, { obstructed: true })).toEqual(removed.map((route) => `del map ${route}`));
  });

  test('routes wait for a reload while it is not known what the worker was loaded from', () => {
    expect(steps(now('backend web\n', { 'a/': 'web', 'b/': 'web' }), { certain: false })).toEqual([]);
  });
});
