import { describe, expect, test } from 'vitest';
import { baseText, plan, rendered } from '../../test/support/plan.ts';
import { allDirty } from '../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Rendered } from '../render/rendered.ts';
import { afterStep, planChanges } from './plan.ts';
import { commandsOf, describeStep, outcomeOf } from './step.ts';

const web = (servers: Readonly<Record<string, string>>) => rendered({ web: { servers } });

test('a plan looks at all servers of a service whose weights are divided by another number, although one instance was touched', () => {
  const divided = (weight: number, weightDivisor: number): Rendered => {
    const all = web({ a: `10.0.0.1:80 weight ${weight}`, b: `10.0.0.2:80 weight ${weight}` });
    return { ...all, backends: all.backends.map((backend) => ({ ...backend, weightDivisor })) };
  };
  const dirty = new Map([['web' as ServiceName, { whole: false, instances: new Set(['a' as InstanceId]) }]]);
  const conditions = { addBackend: false, deletes: true };
  const { steps } = planChanges(divided(200, 1), divided(100, 2), dirty, new Map(), conditions);
  expect(steps.map(describeStep)).toEqual(['set server web/a weight 100', 'set server web/b weight 100']);
});

test('a plan is empty for equal states', () => {
  expect(plan(web({ a: '10.0.0.1:80' }), web({ a: '10.0.0.1:80' }))).toEqual({ steps: [], reload: [] });
});

test('a plan adds servers before it removes any', () => {
  expect(plan(web({ a: '10.0.0.1:80 check' }), web({ b: '[::1]:80 weight 7 check' })).steps).toEqual([
    'add server web/b [::1]:80 weight 7 check',
    'set server web/a state maint',
  ]);
});

test('a plan has the cookies of a sticky service made anew when a server was added, and only then', () => {
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

test('a plan takes a reload for a new address where open connections would go on to the former one', () => {
  const [before, after] = [web({ a: '10.0.0.1:80' }), web({ a: '10.0.0.2:80' })];
  expect(plan(before, after, { keepsFormerAddress: true })).toEqual({
    steps: ['set server web/a addr 10.0.0.2 port 80'],
    reload: ['former-address'],
  });
  const tcp = (address: string) =>
    rendered({ web: { head: 'backend web from policy-tcp\n', servers: { a: address } } });
  expect(plan(tcp('10.0.0.1:80'), tcp('10.0.0.2:80'), { keepsFormerAddress: true }).reload).toEqual([]);
});

test('a plan takes a reload for a server that comes back at another address where connections would go on to the former one', () => {
  const pending = new Map([['web/a', 'server a 10.0.0.1:80 weight 1']]);
  const given = { pending, deletes: false, keepsFormerAddress: true };
  expect(plan(web({}), web({ a: '10.0.0.2:80 weight 1' }), given).reload).toEqual(['former-address']);
  expect(plan(web({}), web({ a: '10.0.0.1:80 weight 1' }), given).reload).toEqual([]);
});

test('a plan takes a reload for a new service and leaves its routes to it', () => {
  const after = rendered({ web: { servers: {} }, api: { servers: {} } }, baseText, { 'api/': 'api' });
  expect(plan(web({}), after)).toEqual({ steps: [], reload: ['new-backend'] });
});

describe('a plan for a new service, where HAProxy can add a backend', () => {
  const head = 'backend api from policy-a\n';
  const api = (more: { head?: string; servers?: Readonly<Record<string, string>> }) =>
    rendered({ api: { head, servers: { a: '10.0.0.1:80 check' }, ...more } }, baseText, { 'api/': 'api' });

  test('a new service is made with its servers, then published, then gets its routes', () => {
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
  ])('a new service takes a reload when %s', (_, more) => {
    expect(plan(rendered({}), api(more), { addBackend: true })).toEqual({ steps: [], reload: ['new-backend'] });
  });

  test('the steps for a new service give what was desired', () => {
    const { steps } = planChanges(rendered({}), api({}), allDirty(['api' as ServiceName]), new Map(), {
      addBackend: true,
      deletes: true,
    });
    const done = steps.reduce((served, step) => afterStep(served, api({}), step), rendered({}));
    expect(plan(done, api({}), { addBackend: true })).toEqual({ steps: [], reload: [] });
  });
});

test('a plan empties a service that left, and needs no reload for that', () => {
  const before = rendered({ web: { servers: { a: '10.0.0.1:80' } } }, baseText, { 'web/': 'web' });
  expect(plan(before, rendered({}))).toEqual({
    steps: ['del map routes.map web/', 'set server web/a state maint'],
    reload: [],
  });
});

test('a plan does not wait with instances for a reload that something else needs', () => {
  const after = rendered({ web: { servers: { a: '10.0.0.1:80' } } }, 'another base\n');
  expect(plan(web({}), after)).toEqual({ steps: ['add server web/a 10.0.0.1:80 weight 1'], reload: ['frame'] });
});

test('a plan leaves a server in maintenance where HAProxy cannot delete it safely', () => {
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

test('a plan revives a name whose old server still closes connections', () => {
  const pending = new Map([['web/a', 'server a 10.0.0.1:80 weight 5 check']]);
  expect(plan(web({}), web({ a: '10.0.0.9:80 weight 5 check' }), { pending }).steps).toEqual([
    'set server web/a addr 10.0.0.9 port 80',
  ]);
  expect(plan(web({}), web({ a: '10.0.0.9:80' }), { pending }).reload).toEqual(['server-keywords']);
});

test('a plan done step by step gives what was desired', () => {
  const before = web({ a: '10.0.0.1:80', b: '10.0.0.2:80' });
  const after = web({ b: '10.0.0.2:80 weight 4', c: '10.0.0.3:80' });
  const { steps } = planChanges(before, after, allDirty(before.backends.keys()), new Map(), {
    addBackend: false,
    deletes: true,
  });
  const done = steps.reduce((served, step) => afterStep(served, after, step), before);
  expect(done.backends.equals(after.backends) || plan(done, after).steps.length === 0).toBe(true);
});
