import { existsSync, readdirSync } from 'node:fs';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { ask, startApp } from '../support/app.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

const rated = JSON.stringify({ rateLimit: { requests: 5, per: '1h' } });

/** How many of these requests are let through. */
async function allowed({ port }: TestBalancer, requests: number): Promise<number> {
  let count = 0;
  for (let i = 0; i < requests; i += 1) {
    const { status } = await ask(port, 'web');
    expect([200, 429]).toContain(status);
    if (status === 200) count += 1;
  }
  return count;
}

/** HAProxy 2.6 looks for peers that know more first, for up to 10 s after it was started, and gives its counts to nobody until then. */
const knowsItsCounts = ({ link }: TestBalancer) =>
  until('the worker waits for no other counts', async () => {
    const [peers = ''] = await link.ask(['show peers']);
    return (Number(/flags=(0x[0-9a-f]+)/.exec(peers)?.[1]) & 3) === 3;
  });

test('what a rate limit has counted survives reloads, and the end of pointsman', async () => {
  const app = await startApp('app');
  let balancer = await startBalancer();
  onTestFailed(() => void process.stderr.write(balancer.lines.join('')));
  onTestFinished(async () => {
    await balancer.stop();
    await app.close();
  });
  const { dir, port, layout } = balancer;
  const entries = { 'services/web': rated, 'instances/web/a': app.address, 'instances/other/a': app.address };
  balancer.snapshot(entries);
  await balancer.balancer.start();
  await balancer.applied();
  const reload = async (retries: number) => {
    balancer.change({ 'services/other': JSON.stringify({ retries: { count: retries } }) });
    await balancer.applied();
    await knowsItsCounts(balancer);
  };
  expect(await allowed(balancer, 3)).toBe(3);
  await knowsItsCounts(balancer);
  await reload(1);
  expect(await allowed(balancer, 1)).toBe(1);
  await reload(2);
  expect(await allowed(balancer, 3)).toBe(1);
  const before = balancer;
  await before.balancer.stop(0, 'leave');
  balancer = await startBalancer({ dir, port });
  balancer.snapshot({ ...entries, 'services/other': JSON.stringify({ retries: { count: 2 } }) });
  await balancer.balancer.start();
  await balancer.applied();
  await reload(3);
  expect(await allowed(balancer, 3)).toBe(0);
  expect(await balancer.metric('reloads_total', { result: 'ok' })).toBe(1);
  expect(await balancer.metric('drift_total')).toBe(0);

  // The socket goes with the last policy that has it.
  const socket = /unix@(\S+\/run\/[0-9a-f]{12}) /.exec(await balancer.config())?.[1] ?? '';
  expect(existsSync(socket)).toBe(true);
  balancer.change({ 'services/web': undefined });
  await balancer.applied();
  await until('it is gone', () => !existsSync(socket));
  expect(readdirSync(layout.peersFolder).filter((name) => /^[0-9a-f]{12}$/.test(name))).toEqual([]);
});
