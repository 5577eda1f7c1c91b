import { expect, test } from 'vitest';
import { startLoad } from '../../bench/load.ts';
import { statRows } from '../../src/haproxy/stat.ts';
import { startServing } from '../support/serving.ts';
import { until } from '../support/until.ts';

test('servers that were added at run time reuse connections once changes are quiet, by one reload where it takes one', async () => {
  const { app, balancer } = await startServing({ reuseIntervalMs: 10_000 });
  const load = startLoad(balancer.port, 'web', 4);
  const reloads = () => balancer.metric('reload_reasons_total', { reason: 'no-reuse' });

  // While changes go on, each sooner than it counts as quiet, no reload is done.
  const began = performance.now();
  for (let n = 0; performance.now() - began < 1500; n += 1) {
    balancer.change({ 'instances/web/b': JSON.stringify({ address: app.address, weight: 1 + (n % 9) }) });
    await balancer.applied();
  }
  expect(await reloads()).toBe(0);

  const reused = async () => {
    const [answer = ''] = await balancer.command('show stat web 4 -1');
    return [...statRows(answer)].some((cell) => cell('svname') === 'b' && Number(cell('reuse')) > 100);
  };
  await until('connections to b are reused', reused);
  const { failed } = await load.stop();
  expect(failed).toBe(0);
  expect(await reloads()).toBe(balancer.link.reuses ? 0 : 1);
});
