import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MemoryRegistry } from '../../test/support/memory-registry.ts';
import { until } from '../../test/support/until.ts';
import { parseServiceName } from '../model/name.ts';
import type { ContainerPolicy } from './choose-policies.ts';
import { ContainerPolicies } from './container-policies.ts';

const web = parseServiceName('web');
if (!web.ok) throw new Error(web.reason);
const other = parseServiceName('other');
if (!other.ok) throw new Error(other.reason);
const asks = (version: number, announced: boolean): ContainerPolicy => ({
  ...{ service: web.value, container: `web-${version}`, created: version, announced },
  policy: JSON.stringify({ hosts: [`v${version}.example`] }),
});
const mistaken = (version: number): ContainerPolicy => ({ ...asks(version, false), policy: undefined });
/** Makes the agents compare with the registry. */
const nudge = (version: number): ContainerPolicy => ({ ...asks(version, true), service: other.value });

/** Agents of several hosts, with a registry in memory. */
function start({ graceMs = 0 } = {}) {
  const memory = new MemoryRegistry();
  const logged: { readonly event: string }[] = [];
  const agent = (host: string, about: { readonly graceMs?: number } = {}) => {
    const policies = new ContainerPolicies({
      ...{ registry: memory.registry, host, ttlMs: 10_000, graceMs, random: () => 0, ...about },
      logger: pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) }),
      now: () => performance.now(),
    });
    onTestFinished(() => policies.close());
    return policies;
  };
  const policy = (service = 'web') => memory.entries.get(`services/${service}`)?.value;
  const isPolicy = (version: number, service = 'web') =>
    until(`${service} has the policy of ${version}`, () => policy(service)?.includes(`v${version}.`));
  return { memory, logged, agent, policy, isPolicy };
}

describe('the policy of a service', () => {
  test('is that of a new version only when it is announced', async () => {
    const { agent, policy, isPolicy, memory } = start();
    const [a, b] = [agent('a'), agent('b')];
    a.update([asks(1, true)]);
    await isPolicy(1);
    b.update([asks(2, false), nudge(1)]);
    await isPolicy(1, 'other');
    expect(policy()).toContain('v1.');
    expect(memory.entries.get('labels/web/b')?.value).toContain('v2.');
    b.update([asks(2, true), nudge(1)]);
    await isPolicy(2);
    b.update([asks(2, false), nudge(2)]);
    await isPolicy(2, 'other');
    expect(policy()).toContain('v2.');
  });

  test('is written before the first instance is announced', async () => {
    const { agent, policy } = start();
    const [a, b] = [agent('a'), agent('b')];
    const settledWith: (string | undefined)[] = [];
    for (const one of [a, b]) {
      one.whenSettled(() => {
        if (one.isSettled(web.value)) settledWith.push(policy());
      });
    }
    expect(a.isSettled(web.value)).toBe(false);
    a.update([asks(2, false)]);
    b.update([asks(1, false)]);
    await until('both know it', () => a.isSettled(web.value) && b.isSettled(web.value));
    expect(settledWith[0]).toBeDefined();
    a.update([asks(3, false)]);
    expect(a.isSettled(web.value)).toBe(false);
    await until('it is written again', () => a.isSettled(web.value));
    expect(policy()).toContain('v3.');
  });

  test('changes nothing when an agent restarts and checks its containers again', async () => {
    const { agent, isPolicy, memory } = start({ graceMs: 10_000 });
    const a = agent('a');
    a.update([asks(1, true), asks(2, true)]);
    await isPolicy(2);
    await a.close();
    const before = memory.transactions.length;
    const again = agent('a');
    again.update([asks(1, true), asks(2, false), nudge(1)]);
    await isPolicy(1, 'other');
    expect(again.isSettled(web.value)).toBe(true);
    expect(memory.transactions.slice(before).flatMap(({ changes }) => changes.map(({ key }) => key))).not.toContain(
      'services/web',
    );
    await isPolicy(2);
  });

  test('stays as long as a container has a mistake in its labels', async () => {
    const { agent, policy, isPolicy, memory } = start();
    const a = agent('a');
    a.update([asks(1, true)]);
    await isPolicy(1);
    a.update([mistaken(2), nudge(1)]);
    await isPolicy(1, 'other');
    expect(policy()).toContain('v1.');
    await a.close();
    const again = agent('a');
    again.update([mistaken(2), nudge(2)]);
    await isPolicy(2, 'other');
    expect(policy()).toContain('v1.');
    expect(memory.entries.get('sets/containers/1')?.value).toContain('services/web');
    expect(again.isSettled(web.value)).toBe(false);
    again.update([nudge(2)]);
    await until('it is gone', () => policy() === undefined);
  });

  test('is restored, and the log says what somebody else changed', async () => {
    const { agent, memory, isPolicy, logged, policy } = start();
    const a = agent('a');
    a.update([asks(1, true)]);
    await isPolicy(1);
    memory.put('services/web', '{"hosts":["v1.example"],"balance":"leastconn"}');
    a.update([asks(1, true), nudge(1)]);
    await until('it is restored', () => policy()?.includes('balance') === false);
    memory.entries.delete('services/web');
    a.update([asks(1, true), nudge(2)]);
    await isPolicy(1);
    a.update([asks(2, true), nudge(2)]);
    await isPolicy(2);
    const restored = logged.filter(({ event }) => event === 'policy-restored');
    expect(restored).toEqual([
      expect.objectContaining({ service: 'web', fields: ['balance'], msg: expect.stringContaining('changed balance') }),
      expect.objectContaining({ service: 'web', msg: expect.stringContaining('deleted it') }),
    ]);
  });
});
