import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatOverride } from '../../src/model/override.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';

// Round robin deals requests out, so that a share is exact but for where the turn begins and ends.
const inTurn = 3;
const requests = 440;

const apps = new Map<string, Awaited<ReturnType<typeof startApp>>>();
let balancer: TestBalancer;
beforeAll(async () => {
  for (const name of ['a', 'b', 'c']) apps.set(name, await startApp(name));
  balancer = await startBalancer();
  const at = (name: string) => apps.get(name)?.address ?? '';
  const version = (name: string, of: string) => JSON.stringify({ address: at(name), version: of });
  balancer.snapshot({
    'instances/plain/a': at('a'),
    'instances/plain/b': at('b'),
    'services/versions': '{}',
    'instances/versions/a': version('a', 'v1'),
    'instances/versions/b': version('b', 'v1'),
    'instances/versions/c': version('c', 'v2'),
    'services/chance': '{"balance":"random"}',
    'instances/chance/a': at('a'),
    'instances/chance/b': JSON.stringify({ address: at('b'), weight: 10 }),
  });
  await balancer.balancer.start();
});
afterAll(async () => {
  await balancer.stop();
  await Promise.all([...apps.values()].map((app) => app.close()));
});

/** How many of the requests each server answered, so many of them at a time. */
async function counted(host: string, atOnce: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = { a: 0, b: 0, c: 0 };
  let left = requests;
  const client = async () => {
    while (left-- > 0) {
      const { body } = await ask(balancer.port, host);
      counts[body] = (counts[body] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return counts;
}

const tenth = formatOverride({
  effect: { kind: 'weight', weight: 10 },
  who: 'ada',
  why: undefined,
  at: 0,
  until: undefined,
});

describe.each([1, 20])('with %d requests at once', (atOnce) => {
  test('an instance with a tenth of the weight gets a tenth of what its sibling gets, without a reload', async () => {
    const reloads = await balancer.metric('reloads_total');
    balancer.change({ 'overrides/plain/b': tenth });
    await balancer.applied();
    const { a = 0, b = 0 } = await counted('plain', atOnce);
    expect(a + b).toBe(requests);
    expect(Math.abs(b - 40)).toBeLessThanOrEqual(inTurn);
    balancer.change({ 'overrides/plain/b': undefined });
    await balancer.applied();
    const after = await counted('plain', atOnce);
    expect(Math.abs((after['b'] ?? 0) - 220)).toBeLessThanOrEqual(inTurn);
    expect(await balancer.metric('reloads_total')).toBe(reloads);
  });

  test.each([5, 25])('a split gives a version its %d per cent, without a reload', async (percent) => {
    const reloads = await balancer.metric('reloads_total');
    balancer.change({ 'services/versions': JSON.stringify({ split: { v1: 100 - percent, v2: percent } }) });
    await balancer.applied();
    const { a = 0, b = 0, c = 0 } = await counted('versions', atOnce);
    expect(a + b + c).toBe(requests);
    expect(Math.abs(c - (requests * percent) / 100)).toBeLessThanOrEqual(inTurn);
    expect(Math.abs(a - b)).toBeLessThanOrEqual(inTurn);
    expect(await balancer.metric('reloads_total')).toBe(reloads);
  });

  test('by chance, the share is the weight on average', async () => {
    const { b = 0 } = await counted('chance', atOnce);
    // 40 expected. 6 standard deviations of 440 draws, and a few per cent by which the ring of HAProxy misses the share.
    expect(Math.abs(b - 40)).toBeLessThanOrEqual(6 * Math.sqrt(440 * (1 / 11) * (10 / 11)) + 4);
  });
});
