import { readdirSync } from 'node:fs';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

const rated = (requests: number) => JSON.stringify({ rateLimit: { requests, per: '1h' } });

/** How many of these requests are let through. */
async function allowed({ port }: TestBalancer, requests: number, service = 'web'): Promise<number> {
  let count = 0;
  for (let i = 0; i < requests; i += 1) {
    const { status } = await ask(port, service);
    expect([200, 429]).toContain(status);
    if (status === 200) count += 1;
  }
  return count;
}

/** HAProxy 2.6 looks for peers that know more first, for up to 10 s after it was started, and gives its counts to nobody until then. */
const knowsItsCounts = ({ link }: TestBalancer) =>
  until('the worker waits for no other counts', async () => {
    const [peers = ''] = await link.ask(['show peers']);
    const states = [...peers.matchAll(/^0x.* flags=(0x[0-9a-f]+)/gm)];
    return states.length > 0 && states.every(([, flags]) => (Number(flags) & 3) === 3);
  });

test('what a rate limit has counted survives reloads, and the end of pointsman', async () => {
  const app = await startApp('app');
  let balancer = await startBalancer();
  onTestFailed(() => void process.stderr.write(balancer.lines.join('')));
  onTestFinished(async () => {
    await balancer.stop();
    await app.close();
  });
  const { dir, port, paths } = balancer;
  // Each has a policy of its own.
  const more = { 'services/six': rated(6), 'services/seven': rated(7) };
  const served = Object.fromEntries(
    ['web', 'other', 'six', 'seven'].map((name) => [`instances/${name}/a`, app.address]),
  );
  const entries = { 'services/web': rated(5), ...more, ...served };
  balancer.snapshot(entries);
  await balancer.balancer.start();
  await balancer.applied();
  const reload = async (retries: number) => {
    balancer.change({ 'services/other': JSON.stringify({ retries: { count: retries } }) });
    await balancer.applied();
    await knowsItsCounts(balancer);
  };
  expect(await allowed(balancer, 3)).toBe(3);
  expect(await allowed(balancer, 6, 'six')).toBe(6);
  expect(await allowed(balancer, 6, 'seven')).toBe(6);
  await knowsItsCounts(balancer);
  await reload(1);
  expect(await allowed(balancer, 1, 'six')).toBe(0);
  expect(await allowed(balancer, 2, 'seven')).toBe(1);
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

  // Before HAProxy 3.0 each policy has a socket, which goes with the last service that has the policy.
  const sockets = () => readdirSync(paths.peersFolder).filter((name) => /^[\w-]{12}$/.test(name)).length;
  const [{ version = '' } = {}] = [await balancer.haproxy.processes()];
  expect(sockets()).toBe(/^2\./.test(version) ? 3 : 0);
  balancer.change({ 'services/web': undefined, 'services/six': undefined, 'services/seven': undefined });
  await balancer.applied();
  await until('they are gone', () => sockets() === 0);
});
