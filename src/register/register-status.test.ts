import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetric } from '../metrics/make-metric.ts';
import type { ServiceName } from '../model/name.ts';
import { containerMetrics, setContainerMetrics } from './containers/container-metrics.ts';
import type { ContainersFacts } from './containers/containers-facts.ts';
import { registerMetrics, setRegisterMetrics } from './register-metrics.ts';
import { type RegisterFacts, statusOf } from './register-status.ts';
import type { RegistrationState } from './registration-state.ts';

const connected = { reason: undefined, staleMs: 0, known: true, losses: 0 };
const lost = (reason: string, staleMs: number) => ({ reason, staleMs, known: true, losses: 1 });
const unknown = { reason: 'it has not answered yet', staleMs: 100, known: false, losses: 0 };

const registry = { location: 'etcd://a', ...connected, leases: 1, restored: 0 };
const containers: ContainersFacts = {
  engine: { location: 'unix:///s', ...connected, missed: 0 },
  stages: { up: 2, leaving: 1, left: 0, ending: 0 },
  refused: 0,
  policies: { away: undefined, unwritten: undefined, conflicts: [] },
};
const good: RegisterFacts = { leaving: false, registry, instances: [], folder: undefined, containers };
const instance = (state: RegistrationState['state'], service = 'web', reason?: string): RegistrationState => ({
  name: `${service}/a`,
  service: service as ServiceName,
  state,
  reason,
});

test('it is ready when nothing keeps instances from being announced', () => {
  for (const state of ['announced', 'pending', 'draining', 'waiting', 'leaving'] as const) {
    expect(statusOf({ ...good, instances: [instance(state)] })).toMatchObject({ ready: true, troubles: [] });
  }
});

test.each<[string, Partial<RegisterFacts>, string]>([
  ['registry', { registry: { ...registry, ...lost('no route', 2000) } }, 'no route'],
  ['registrations', { instances: [instance('refused', 'web', 'permission denied')] }, 'web/a: permission denied'],
  ['folder', { folder: { unreadable: 'ENOENT', refused: 0 } }, 'ENOENT'],
  ['engine', { containers: { ...containers, engine: { ...containers.engine, ...lost('gone', 2000) } } }, 'gone'],
  ['engine', { containers: { ...containers, engine: { ...containers.engine, ...unknown } } }, unknown.reason],
  [
    'policies',
    { containers: { ...containers, policies: { ...containers.policies, unwritten: 'permission denied' } } },
    'permission denied',
  ],
])('it is not ready while the part "%s" fails, and gives the reason', (part, facts, reason) => {
  expect(statusOf({ ...good, ...facts })).toMatchObject({ ready: false, troubles: [{ part, reason }] });
});

test('a connection that was lost a moment ago leaves it ready', () => {
  const facts = { ...good, registry: { ...registry, ...lost('no route', 1999) } };
  expect(statusOf(facts)).toMatchObject({ ready: true, registry: { connected: false } });
});

test('several refusals are counted, and the first is named', () => {
  const instances = [instance('refused', 'web', 'taken'), instance('announced'), instance('refused')];
  expect(statusOf({ ...good, instances }).troubles[0]?.reason).toBe('web/a: taken, and 1 more');
});

test('before the first instance, the registry answers as those say who follow the policies of labels', () => {
  const before = { ...good, registry: { ...registry, ...unknown, leases: 0 } };
  expect(statusOf(before)).toMatchObject({ ready: true, registry: { connected: true } });
  const policies = { ...containers.policies, away: 'no route' };
  const away = statusOf({ ...before, containers: { ...containers, policies } });
  expect(away).toMatchObject({ ready: false, registry: { connected: false }, troubles: [{ part: 'registry' }] });
  // A folder without files asks nothing of the registry.
  const folder = { unreadable: undefined, refused: 0 };
  expect(statusOf({ ...before, folder, containers: undefined })).toMatchObject({ ready: true });
  expect(statusOf({ ...before, containers: undefined, instances: [instance('pending')] })).toMatchObject({
    ready: false,
    troubles: [{ part: 'registry', reason: unknown.reason }],
  });
});

test('it is not ready while it leaves', () => {
  expect(statusOf({ ...good, leaving: true })).toMatchObject({ ready: false, troubles: [] });
});

test('metrics have the instances by service and state, and each number as it is now', async () => {
  const metrics = new Registry();
  const make = makeMetric(metrics);
  const [ofRegister, ofContainers] = [registerMetrics(make), containerMetrics(make)];
  const set = (facts: RegisterFacts) => {
    setRegisterMetrics(ofRegister, statusOf(facts), facts.instances);
    if (facts.containers !== undefined) setContainerMetrics(ofContainers, facts.containers);
    return metrics.metrics();
  };
  await set({ ...good, instances: [instance('waiting')] });
  const engine = { ...containers.engine, ...lost('gone', 3000), missed: 2 };
  const policies = { ...containers.policies, conflicts: ['the set shop owns services/web'] };
  const instances = [instance('announced'), instance('announced'), instance('leaving', 'api')];
  const text = await set({ ...good, instances, containers: { ...containers, refused: 4, engine, policies } });
  for (const line of [
    'ready 0',
    'trouble{part="engine"} 1',
    'trouble{part="registry"} 0',
    'instances{service="web",state="announced"} 2',
    'instances{service="api",state="leaving"} 1',
    'refused_declarations{source="containers"} 4',
    'registry_connected 1',
    'leases_granted_total 1',
    'containers{stage="up"} 2',
    'containers{stage="leaving"} 1',
    'engine_connected 0',
    'engine_stale_seconds 3',
    'engine_disconnects_total 1',
    'engine_missed_total 2',
    'label_conflicts 1',
  ])
    expect(text).toContain(`\npointsman_register_${line}\n`);
  expect(text).not.toContain('state="waiting"');
});

test('the services of a hundred and more are one label', async () => {
  const metrics = new Registry();
  const ofRegister = registerMetrics(makeMetric(metrics));
  const instances = Array.from({ length: 500 }, (_, i) => instance('announced', `s${i}`));
  setRegisterMetrics(ofRegister, statusOf({ ...good, instances }), instances);
  const lines = (await metrics.metrics()).split('\n').filter((line) => line.includes('_instances{'));
  expect(lines).toHaveLength(101);
  expect(lines).toContain('pointsman_register_instances{service="_other",state="announced"} 400');
});
