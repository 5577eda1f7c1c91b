import { Map as PersistentMap } from 'immutable';
import { describe, expect, test } from 'vitest';
import { allDirty } from '../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { noRevision } from '../model/revision.ts';
import type { RouteTarget } from '../model/route-target.ts';
import type { Rendered } from '../render/rendered.ts';
import { RouteMap } from '../render/route-map.ts';
import { afterStep, planChanges } from './plan.ts';
import { withdrawable } from './plan-routes.ts';
import { commandsOf, describeStep, outcomeOf } from './step.ts';

type Services = Readonly<Record<string, { head?: string; servers: Readonly<Record<string, string>> }>>;

const baseText = 'defaults _base\n    mode http\n';

function rendered(services: Services, base = baseText, routes: Readonly<Record<string, string>> = {}): Rendered {
  return {
    revision: noRevision,
    base: { before: base, indent: '', after: '' },
    policies: PersistentMap({
      'policy-a': 'defaults policy-a from _base\n',
      'policy-tcp': 'defaults policy-tcp from _base\n    mode tcp\n',
      'policy-sticky': 'defaults policy-sticky from _base\n    cookie C insert dynamic\n    dynamic-cookie-key k\n',
    }),
    backends: PersistentMap(
      Object.entries(services).map(([name, { head = `backend ${name}\n`, servers }]) => [
        name as ServiceName,
        {
          name: name as ServiceName,
          section: { before: head, indent: '    ', after: '\n' },
          servers: PersistentMap(
            Object.entries(servers).map(([id, line]) => [id as InstanceId, `server ${id} ${line}`]),
          ),
        },
      ]),
    ),
    routes: RouteMap.of(Object.entries(routes).map(([route, target]) => [route, target as RouteTarget])),
  };
}

type Conditions = {
  pending?: ReadonlyMap<string, string>;
  addBackend?: boolean;
  deletes?: boolean;
  obstructed?: boolean;
  keepsFormerAddress?: boolean;
};

function plan(
  before: Rendered,
  after: Rendered,
  {
    pending = new Map(),
    addBackend = false,
    deletes = true,
    obstructed = false,
    keepsFormerAddress = false,
  }: Conditions = {},
) {
  const names = new Set([...before.backends.keys(), ...after.backends.keys()]);
  const conditions = { addBackend, deletes, obstructed, keepsFormerAddress };
  const { steps, reload } = planChanges(before, after, allDirty(names), pending, conditions);
  return { steps: steps.map(describeStep), reload: reload.map(({ kind }) => kind) };
}

const web = (servers: Readonly<Record<string, string>>) => rendered({ web: { servers } });

describe('the plan', () => {
  test('leaves the routes of the services with the most changes to a reload, and changes those of others by command', () => {
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

  test('has no route wait for a service whose reload has to wait for its turn', () => {
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

  test('looks at all servers of a service whose weights are divided by another number, although one instance was touched', () => {
    const divided = (weight: number, weightDivisor: number): Rendered => {
      const all = web({ a: `10.0.0.1:80 weight ${weight}`, b: `10.0.0.2:80 weight ${weight}` });
      return { ...all, backends: all.backends.map((backend) => ({ ...backend, weightDivisor })) };
    };
    const dirty = new Map([['web' as ServiceName, { whole: false, instances: new Set(['a' as InstanceId]) }]]);
    const conditions = { addBackend: false, deletes: true };
    const { steps } = planChanges(divided(200, 1), divided(100, 2), dirty, new Map(), conditions);
    expect(steps.map(describeStep)).toEqual(['set server web/a weight 100', 'set server web/b weight 100']);
  });

  test('leaves more than 10,000 changes of routes to a reload, where one is possible, but no maintenance and no pause', () => {
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

  test('is empty for equal states', () => {
    expect(plan(web({ a: '10.0.0.1:80' }), web({ a: '10.0.0.1:80' }))).toEqual({ steps: [], reload: [] });
  });

  test('adds before it removes', () => {
    expect(plan(web({ a: '10.0.0.1:80 check' }), web({ b: '[::1]:80 weight 7 check' })).steps).toEqual([
      'add server web/b [::1]:80 weight 7 check',
      'set server web/a state maint',
    ]);
  });

  test('has the cookies of a sticky service made anew when a server was added, and only then', () => {
    const sticky = (servers: Readonly<Record<string, string>>) =>
      rendered({ web: { head: 'backend web from policy-sticky\n', servers } });
    expect(plan(sticky({}), sticky({ a: '10.0.0.1:80' })).steps).toEqual([
      'add server web/a 10.0.0.1:80 weight 1',
      'enable dynamic-cookie backend web',
    ]);
    expect(plan(sticky({ a: '10.0.0.1:80' }), sticky({ a: '10.0.0.1:80 weight 2' })).steps).toEqual([
      'set server web/a weight 2',
    ]);
    expect(plan(rendered({}), sticky({ a: '10.0.0.1:80' }), { addBackend: true }).steps.slice(-2)).toEqual([
      'enable dynamic-cookie backend web',
      'publish backend web',
    ]);
  });

  test.each([
    ['10.0.0.1:80 weight 1', '10.0.0.1:80 weight 9', 'set server web/a weight 9'],
    ['10.0.0.1:80', '10.0.0.2:81', 'set server web/a addr 10.0.0.2 port 81'],
    ['10.0.0.1:80', '[fd00::2]:81', 'set server web/a addr fd00::2 port 81'],
    ['10.0.0.1:80', '10.0.0.1:80 disabled', 'set server web/a state maint'],
    ['10.0.0.1:80 disabled', '10.0.0.1:80', 'set server web/a state ready'],
  ])('%s → %s is one command', (before, after, command) => {
    expect(plan(web({ a: before }), web({ a: after }))).toEqual({ steps: [command], reload: [] });
  });

  test.each([
    ['10.0.0.1:80', '10.0.0.1:80 check', 'server-keywords'],
    ['10.0.0.1:80', '10.0.0.1:80 sni str("x")', 'server-line'],
  ])('%s → %s takes a reload', (before, after, reason) => {
    expect(plan(web({ a: before }), web({ a: after }))).toEqual({ steps: [], reload: [reason] });
  });

  test('takes a reload for a new address where open connections would go on to the former one', () => {
    const [before, after] = [web({ a: '10.0.0.1:80' }), web({ a: '10.0.0.2:80' })];
    expect(plan(before, after, { keepsFormerAddress: true })).toEqual({
      steps: ['set server web/a addr 10.0.0.2 port 80'],
      reload: ['former-address'],
    });
    const tcp = (address: string) =>
      rendered({ web: { head: 'backend web from policy-tcp\n', servers: { a: address } } });
    expect(plan(tcp('10.0.0.1:80'), tcp('10.0.0.2:80'), { keepsFormerAddress: true }).reload).toEqual([]);
  });

  test('takes a reload for a server that comes back at another address where connections would go on to the former one', () => {
    const pending = new Map([['web/a', 'server a 10.0.0.1:80 weight 1']]);
    const given = { pending, deletes: false, keepsFormerAddress: true };
    expect(plan(web({}), web({ a: '10.0.0.2:80 weight 1' }), given).reload).toEqual(['former-address']);
    expect(plan(web({}), web({ a: '10.0.0.1:80 weight 1' }), given).reload).toEqual([]);
  });

  test('takes a reload for a new service and leaves its routes to it', () => {
    const after = rendered({ web: { servers: {} }, api: { servers: {} } }, baseText, { 'api/': 'api' });
    expect(plan(web({}), after)).toEqual({ steps: [], reload: ['new-backend'] });
  });

  describe('for a new service, where HAProxy can add a backend', () => {
    const head = 'backend api from policy-a\n';
    const api = (more: { head?: string; servers?: Readonly<Record<string, string>> }) =>
      rendered({ api: { head, servers: { a: '10.0.0.1:80 check' }, ...more } }, baseText, { 'api/': 'api' });

    test('makes it, its servers, then shows it, then leads requests to it', () => {
      expect(plan(rendered({}), api({}), { addBackend: true })).toEqual({
        steps: [
          'add backend api from policy-a mode http',
          'add server api/a 10.0.0.1:80 weight 1 check',
          'publish backend api',
          'add map routes.map api/ api',
        ],
        reload: [],
      });
    });

    test.each([
      ['its policy is not in the running configuration', { head: 'backend api from policy-b\n' }],
      ['it says more than its policy', { head: `${head}    timeout server 9s\n` }],
      ['a line of it can stand in a file only', { servers: { a: '10.0.0.1:80 sni str("x")' } }],
    ])('takes a reload when %s', (_, more) => {
      expect(plan(rendered({}), api(more), { addBackend: true })).toEqual({ steps: [], reload: ['new-backend'] });
    });

    test('done step by step gives what was desired', () => {
      const { steps } = planChanges(rendered({}), api({}), allDirty(['api' as ServiceName]), new Map(), {
        addBackend: true,
        deletes: true,
      });
      const done = steps.reduce((served, step) => afterStep(served, api({}), step), rendered({}));
      expect(plan(done, api({}), { addBackend: true })).toEqual({ steps: [], reload: [] });
    });
  });

  describe('for routes', () => {
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

    test('changes them at once when nothing else of the policy changes: the more exact first, and what ends last', () => {
      expect(steps(now('backend web\n', { 'b/': 'web', 'b/x/': 'web/1' }))).toEqual([
        'add map b/x/ web/1',
        'add map b/ web',
        'del map a/',
        'del map SERVICE:web',
      ]);
    });

    test('leaves them to the reload that brings their rules, with the end of the maintenance', () => {
      expect(steps(now('backend web from policy-a\n', { 'b/': 'web' }))).toEqual([]);
    });

    test('takes away what the policy gives up when that reload cannot be done', () => {
      expect(steps(now('backend web from policy-a\n', { 'b/': 'web' }), { obstructed: true })).toEqual(['del map a/']);
    });

    test.each([
      ['a route that is given up', { 'b/': 'web' }, ['a/']],
      ['no route that stays until one below it can be added', { 'a/x/': 'web' }, []],
      ['no route that is served still', { 'a/': 'web', 'b/': 'web' }, []],
    ])('says that a plan would remove %s, when that reload cannot be done', (_, routes, removed) => {
      const desired = now('backend web from policy-a\n', routes);
      expect(withdrawable(before, desired, { certain: true })).toEqual(removed);
      expect(steps(desired, { obstructed: true })).toEqual(removed.map((route) => `del map ${route}`));
    });

    test('leaves them to a reload while it is not known what the worker was loaded from', () => {
      expect(steps(now('backend web\n', { 'a/': 'web', 'b/': 'web' }), { certain: false })).toEqual([]);
    });
  });

  test('empties a service that left, and needs no reload for that', () => {
    const before = rendered({ web: { servers: { a: '10.0.0.1:80' } } }, baseText, { 'web/': 'web' });
    expect(plan(before, rendered({}))).toEqual({
      steps: ['del map routes.map web/', 'set server web/a state maint'],
      reload: [],
    });
  });

  test('does not wait with instances for a reload that something else needs', () => {
    const after = rendered({ web: { servers: { a: '10.0.0.1:80' } } }, 'another base\n');
    expect(plan(web({}), after)).toEqual({ steps: ['add server web/a 10.0.0.1:80 weight 1'], reload: ['frame'] });
  });

  test('leaves a server in maintenance where HAProxy cannot delete it safely', () => {
    const before = web({ a: '10.0.0.1:80' });
    const { steps } = planChanges(before, web({}), allDirty(before.backends.keys()), new Map(), {
      addBackend: false,
      deletes: false,
    });
    expect(steps).toEqual([{ kind: 'retire-server', backend: 'web', name: 'a' }]);
    const commands = steps.flatMap((step) => commandsOf(step, 'routes.map'));
    expect(commands.map(({ text }) => text)).toEqual(['set server web/a state maint']);
    expect(outcomeOf(commands, [''])).toEqual({ kind: 'lingers' });
    expect(outcomeOf(commands, ['No such server.'])).toEqual({ kind: 'done' });
    expect(outcomeOf(commands, ['Permission denied'])).toMatchObject({ kind: 'refused' });
  });

  test.each([
    [
      'that is checked is up',
      '10.0.0.9:80 check',
      ['set server web/a addr 10.0.0.9 port 80', 'set server web/a health up'],
    ],
    ['without a check is left as it is', '10.0.0.9:80', ['set server web/a addr 10.0.0.9 port 80']],
  ])('at a new address that needs no first check a server %s', (_, line, commands) => {
    const before = web({ a: line.replace('.9', '.1') });
    const conditions = { addBackend: false, deletes: true };
    const { steps } = planChanges(before, web({ a: line }), allDirty(before.backends.keys()), new Map(), conditions);
    expect(steps.flatMap((step) => commandsOf(step, 'routes.map')).map(({ text }) => text)).toEqual(commands);
  });

  test('revives a name whose old server still closes connections', () => {
    const pending = new Map([['web/a', 'server a 10.0.0.1:80 weight 5 check']]);
    expect(plan(web({}), web({ a: '10.0.0.9:80 weight 5 check' }), { pending }).steps).toEqual([
      'set server web/a addr 10.0.0.9 port 80',
    ]);
    expect(plan(web({}), web({ a: '10.0.0.9:80' }), { pending }).reload).toEqual(['server-keywords']);
  });

  test('done step by step gives what was desired', () => {
    const before = web({ a: '10.0.0.1:80', b: '10.0.0.2:80' });
    const after = web({ b: '10.0.0.2:80 weight 4', c: '10.0.0.3:80' });
    const { steps } = planChanges(before, after, allDirty(before.backends.keys()), new Map(), {
      addBackend: false,
      deletes: true,
    });
    const done = steps.reduce((served, step) => afterStep(served, after, step), before);
    expect(done.backends.equals(after.backends) || plan(done, after).steps.length === 0).toBe(true);
  });
});
