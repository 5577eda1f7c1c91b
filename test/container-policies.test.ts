import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ContainerPolicies } from '../src/container-policies/container-policies.ts';
import { parseServiceName } from '../src/model/name.ts';
import { runPointsman } from './support/processes.ts';
import { startRegistration } from './support/registration.ts';
import { until } from './support/until.ts';

const web = parseServiceName('web');
if (!web.ok) throw new Error('web is a name');
const shop = parseServiceName('shop');
if (!shop.ok) throw new Error('shop is a name');
const asks = (host: string, created: number, announced = true) => ({
  ...{ service: web.value, container: `web-${created}`, created, announced },
  policy: JSON.stringify({ hosts: [host] }),
}); // biome-ignore format: one idea

/** A registry with an agent's policies on each of these hosts. */
async function start(kind: 'folder' | 'etcd') {
  const world = await startRegistration(kind);
  const logged: string[] = [];
  const logger = pino({ level: 'error' }, { write: (line: string) => void logged.push(line) });
  const agent = (host: string) => {
    const parts = {
      registry: world.registry,
      logger,
      host,
      ttlMs: 30_000,
      graceMs: 300,
      now: () => performance.now(),
      random: () => 0,
    };
    const policies = new ContainerPolicies(parts);
    onTestFinished(() => policies.close());
    return policies;
  };
  const policy = () => world.recorder.values()['services/web'];
  const isPolicy = (host: string) => until(`the policy of web is ${host}`, () => policy()?.includes(`"${host}"`));
  return { ...world, logged, agent, policy, isPolicy };
}

describe.each(['folder', 'etcd'] as const)('the policies of labels, with the registry in %s', (kind) => {
  test('are those of the newest container of all hosts, and belong to the set containers', async () => {
    const { agent, isPolicy, recorder, location } = await start(kind);
    const [a, b] = [agent('a'), agent('b')];
    a.update([asks('one.example', 1)]);
    await isPolicy('one.example');
    expect(JSON.parse(recorder.values()['sets/containers/1'] ?? '')).toEqual({ keys: ['services/web'] });
    b.update([asks('two.example', 2)]);
    await isPolicy('two.example');
    b.update([]);
    await isPolicy('one.example');
    b.update([asks('three.example', 3)]);
    await isPolicy('three.example');
    const { stdout } = await runPointsman(['status', '--json', '--registry', location]);
    expect(JSON.parse(stdout.join('')).trouble).toContain(
      'services/web: the labels of web-3 on b count, because it is the newest container that was announced; web-1 on a asks for another policy',
    );
  });

  test('are gone a moment after the last container, and not when an agent ends', async () => {
    const { agent, isPolicy, policy, recorder } = await start(kind);
    const a = agent('a');
    a.update([asks('one.example', 1)]);
    await isPolicy('one.example');
    await a.close();
    const again = agent('a');
    again.update([asks('one.example', 1)]);
    const b = agent('b');
    b.update([{ ...asks('shop.example', 1), service: shop.value }]);
    await until('b has applied', () => recorder.values()['services/shop']);
    expect(policy()).toContain('one.example');
    again.update([]);
    await until('the policy is gone', () => policy() === undefined);
    expect(recorder.values()['services/shop']).toContain('shop.example');
    b.update([]);
    await until('nothing is owned', () => recorder.values()['sets/containers/1'] === undefined);
  });

  test('are gone as soon, while the policies of other services come and go', async () => {
    const { agent, isPolicy, policy } = await start(kind);
    const [a, b] = [agent('a'), agent('b')];
    a.update([asks('one.example', 1)]);
    await isPolicy('one.example');
    a.update([]);
    let looks = 0;
    await until('the policy is gone', () => {
      looks += 1;
      b.update(looks % 8 < 4 ? [{ ...asks('shop.example', 1), service: shop.value }] : []);
      return policy() === undefined;
    });
  });

  test('leave a policy alone that somebody else wrote, and say so', async () => {
    const { agent, logged, policy, registry } = await start(kind);
    await registry.write('services/web', '{"hosts":["by-hand.example"]}');
    const policies = agent('a');
    policies.update([asks('one.example', 1)]);
    await until('the conflict is logged', () => logged.find((line) => line.includes('labels-conflict')));
    const reason = 'container web-1 on a: services/web has another value, which no set owns';
    expect(logged.join('')).toContain(reason);
    await until('the agent knows it', () => policies.state.conflicts.length > 0);
    expect(policies.state).toEqual({ away: undefined, unwritten: undefined, conflicts: [reason] });
    expect(policy()).toContain('by-hand.example');
  });
});

test('a policy of labels is taken over by another set, and given back', async () => {
  const { agent, isPolicy, location, dir, logged } = await start('folder');
  const a = agent('a');
  a.update([asks('one.example', 1)]);
  await isPolicy('one.example');
  const file = join(dir, 'incident.yaml');
  await writeFile(file, 'services: {web: {hosts: [incident.example]}}');
  const apply = (set: string) => runPointsman(['apply', '--set', set, '--take', file, '--registry', location]);
  await apply('incident');
  await isPolicy('incident.example');
  // A policy for another service makes the agent compare at once.
  a.update([asks('one.example', 1), { ...asks('shop.example', 1), service: shop.value }]);
  await until('the agent leaves it alone', () => logged.some((line) => line.includes('the set incident owns')));
  await isPolicy('incident.example');
  await apply('containers');
  a.update([asks('one.example', 1), { ...asks('other.example', 1), service: shop.value }]);
  await isPolicy('one.example');
});
