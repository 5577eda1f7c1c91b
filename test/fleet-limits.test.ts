import { readFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { ask, exchange } from './support/ask.ts';
import { startBalancers } from './support/balancers.ts';
import { until } from './support/until.ts';

type Target = { readonly http: number };

/** Sends requests to some balancers, each at its own rate, until it is told to stop. */
function startLoad(host: string, targets: readonly (readonly [Target, perS: number])[], from = '127.0.0.1') {
  let [passed, refused, stopped] = [0, 0, false];
  const failures: unknown[] = [];
  const agent = new Agent({ keepAlive: true });
  const begun = performance.now();
  const sent = targets.map(() => 0);
  const timer = setInterval(() => {
    for (const [i, [{ http }, perS]] of targets.entries()) {
      const due = Math.floor(((performance.now() - begun) / 1000) * perS);
      for (; (sent[i] ?? 0) < due; sent[i] = (sent[i] ?? 0) + 1) {
        exchange(http, { host, from, agent }).then(
          ({ status }) => {
            if (status === 200) passed += 1;
            else if (status === 429) refused += 1;
            else failures.push(status);
          },
          // `stop` closes connections with open requests.
          (error: unknown) => stopped || failures.push(error),
        );
      }
    }
  }, 5);
  const stop = () => {
    stopped = true;
    clearInterval(timer);
    agent.destroy();
  };
  onTestFinished(stop);
  return {
    stop,
    failures,
    /** How many requests passed in each second, on average over this time. */
    async rate(seconds: number): Promise<{ readonly passed: number; readonly refused: number }> {
      const before = { passed, refused, at: performance.now() };
      await until('the time is over', () => performance.now() - before.at > seconds * 1000);
      const time = (performance.now() - before.at) / 1000;
      return { passed: (passed - before.passed) / time, refused: (refused - before.refused) / time };
    },
  };
}

async function startFleet(rateLimit: object) {
  const app = await startApp('app');
  onTestFinished(app.close);
  const fleet = await startBalancers('etcd');
  await fleet.writeByHand('services/web', JSON.stringify({ rateLimit: { ...rateLimit, scope: 'fleet' } }));
  await fleet.writeByHand('instances/web/a', app.address);
  const start = async (id: string) => {
    const balancer = await fleet.balancerNamed(id);
    const serves = async () => (await balancer.ask('web').catch(() => undefined))?.status === 200;
    await until(`${id} serves`, serves, { deadlineMs: 60_000 });
    const explain = async (): Promise<readonly { stage: string; says: string }[]> =>
      JSON.parse((await ask(balancer.admin, 'localhost', '/explain/web/a')).body).findings;
    return { ...balancer, explain };
  };
  const balancers = [await start('one'), await start('two'), await start('three')] as const;
  /** Waits until these balancers know that they are so many, and have shares of so many clients. */
  const divided = async (among: readonly (typeof balancers)[number][], count: number, keys: number) => {
    for (const { id, status } of among) {
      await until(
        `${id} divides the limit among ${count}`,
        async () => {
          const limits = (await status()).fleetLimits;
          return limits?.balancers === count && limits.keys === keys;
        },
        { deadlineMs: 30_000 },
      );
    }
  };
  return { ...fleet, balancers, divided };
}

/** Waits until so many requests per second pass, within 10 %. A machine that stops for a moment costs another look. */
const passes = (load: ReturnType<typeof startLoad>, limit: number) =>
  until(
    `${limit} requests per second pass`,
    async () => {
      const { passed, refused } = await load.rate(6);
      expect(refused).toBeGreaterThan(0);
      return Math.abs(passed - limit) < limit / 10;
    },
    { deadlineMs: 90_000 },
  );

test('three balancers with uneven load keep the limit of the fleet together, also when one leaves and comes back', async () => {
  // In each second. A longer time of the limit evens out a machine that stops for a moment.
  const limit = 60;
  const { balancers, divided, registry } = await startFleet({ requests: limit * 3, per: '3s' });
  const [one, two, three] = balancers;
  await divided(balancers, 3, 0);
  // Nobody is near the limit, so nobody tells the others anything.
  expect((await registry.read('balancers/')).entries.map(({ key }) => key).filter((key) => key.includes(':'))).toEqual(
    [],
  );

  const load = startLoad('web', [
    [one, 126],
    [two, 36],
    [three, 18],
  ]);
  await divided(balancers, 3, 1);
  await passes(load, limit);
  expect((await one.explain()).find(({ stage }) => stage === 'limit')?.says).toBe(
    'this balancer has 1/3 of the rate limit of the fleet; of 1 busy keys of all services, its part follows the load',
  );
  // A worker that a reload starts now begins with the same shares.
  const file = await readFile(join(one.masterSocket, '../../maps/rates.map'), 'utf8');
  expect(file).toMatch(/^fleet 3000\nweb\/127\.0\.0\.1 1\d{3}\n$/);
  load.stop();

  // A client that one balancer gets all requests of.
  const pinned = startLoad('web', [[two, 150]], '127.0.0.7');
  await until('its share follows', async () => ((await two.status()).fleetLimits?.keys ?? 0) > 0);
  await passes(pinned, limit);
  pinned.stop();

  three.process.kill('SIGTERM');
  await three.process.ended;
  await divided([one, two], 2, 0);
  const fewer = startLoad('web', [
    [one, 120],
    [two, 15],
  ]);
  await divided([one, two], 2, 1);
  await passes(fewer, limit);

  three.again();
  await divided([one, two, three], 3, 1);
  await passes(fewer, limit);
  expect([...load.failures, ...pinned.failures, ...fewer.failures]).toEqual([]);
  fewer.stop();

  await divided([one, two, three], 3, 0);
  await until('nobody tells counts any more', async () =>
    (await registry.read('balancers/')).entries.every(({ key }) => !key.includes(':')),
  );
});
