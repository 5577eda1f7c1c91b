import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { signal } from '../../src/haproxy/processes.ts';
import { policy, serves, startLab } from '../support/quarantine-lab.ts';
import { held, holds, logged } from '../support/serving.ts';
import { until } from '../support/until.ts';

test('an instance that HAProxy refuses is left out alone', async () => {
  const lab = await startLab();
  const balancer = await lab.startWith({ 'instances/web/a': lab.one });
  await balancer.applied();
  const bad = (x: string) => JSON.stringify({ address: lab.two, meta: { x } });
  balancer.change({ 'instances/web/b': bad('frobnicate'), 'instances/web/c': lab.three });
  await holds(balancer, 'instances/web/b: nothing');
  await until('the other is in the file', async () => (await balancer.config()).includes('server c '));
  expect(await balancer.config()).not.toContain('server b ');
  expect(balancer.balancer.status().rejected).toMatchObject([{ key: 'instances/web/b', lastGoodServes: false }]);
  balancer.change({ 'instances/web/b': bad('backup') });
  await holds(balancer);
  await until('it is in the file', async () => /server b .* backup/.test(await balancer.config()));
  expect(balancer.balancer.status().rejected).toEqual([]);
});

test('a file that is gone takes no service out while HAProxy runs, and only its own service when HAProxy starts again', async () => {
  const lab = await startLab();
  await lab.page('short-lived');
  const balancer = await lab.start({ retryMs: 100 });
  onTestFinished(() => balancer.stop());
  balancer.snapshot({
    ...{ 'services/x': policy('/short-lived'), 'instances/x/a': lab.two },
    ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
  });
  await balancer.balancer.start();
  await balancer.applied();
  await lab.removePage('short-lived');
  balancer.change({ 'services/new': policy('/good', { balance: 'first' }), 'instances/new/a': lab.three });
  await until('the reload waits', () => balancer.balancer.status().refused?.includes('short-lived'));
  expect(held(balancer)).toEqual([]);
  await serves(balancer, 'x', 'two');
  balancer.change({ 'instances/web/b': lab.three, 'instances/web/a': undefined });
  await serves(balancer, 'web', 'three');

  const { masterPid = 0, workerPid = 0 } = (await balancer.haproxy.processes()) ?? {};
  for (const pid of [masterPid, workerPid]) signal(pid, 'SIGKILL');
  await holds(balancer, 'services/x: nothing');
  await serves(balancer, 'web', 'three');
  await serves(balancer, 'new', 'three');
  await lab.page('short-lived');
  await holds(balancer);
  await serves(balancer, 'x', 'two');
});

describe('a balancer that starts again', () => {
  test.each(['ended', 'was killed'] as const)('after one that %s serves last good forms', async (how) => {
    const lab = await startLab();
    const first = await lab.start();
    first.snapshot({
      ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
      ...{ 'services/x': policy('/missing'), 'instances/x/a': lab.two },
    });
    await first.balancer.start();
    first.change({ 'services/web': policy('/missing') });
    await holds(first, 'services/web: last-good', 'services/x: nothing');
    await first.applied();
    if (how === 'was killed') {
      // Its rounds are lost with it; HAProxy goes on running, and the test ends it so that it is started again.
      await until('the catalog and the quarantine are saved', async () => {
        const [known, held] = await Promise.all(
          [first.paths.lastKnown, first.paths.quarantine].map((file) => readFile(file, 'utf8').catch(() => '')),
        );
        return (
          (known?.split('/missing').length ?? 0) > 2 &&
          held?.includes('"service":"web"') &&
          held.includes('"service":"x"')
        );
      });
      const [saved, quarantine] = [await readFile(first.paths.lastKnown), await readFile(first.paths.quarantine)];
      await first.stop({ keep: true });
      await writeFile(first.paths.lastKnown, saved);
      await writeFile(first.paths.quarantine, quarantine);
    } else await first.stop({ keep: true });

    const second = await lab.start({ dir: first.dir });
    onTestFinished(() => second.stop());
    await second.balancer.start();
    await serves(second, 'web', 'one');
    expect(held(second).sort()).toEqual(['services/web: last-good', 'services/x: nothing']);
    // Held from before, so that the first check passes.
    expect(logged(second, 'culprits-found')).toEqual([]);
    second.change({ 'instances/web/b': lab.three, 'instances/web/a': undefined, 'instances/new/a': lab.two });
    await serves(second, 'web', 'three');
    await serves(second, 'new', 'two');
    second.change({ 'services/web': policy('/good'), 'services/x': policy('/good') });
    await holds(second);
    await serves(second, 'x', 'two');
  });

  test('serves the others when one is bad that was never good', async () => {
    const lab = await startLab();
    const balancer = await lab.startWith({
      ...{ 'services/x': policy('/missing'), 'instances/x/a': lab.two },
      ...{ 'services/web': policy('/good'), 'instances/web/a': lab.one },
    });
    await serves(balancer, 'web', 'one');
    expect(held(balancer)).toEqual(['services/x: nothing']);
  });

  test('with a template that became bad meanwhile uses the last good one', async () => {
    const lab = await startLab();
    const first = await lab.start();
    first.snapshot({ 'services/web': policy('/good'), 'instances/web/a': lab.one, 'instances/api/a': lab.two });
    await first.balancer.start();
    await first.applied();
    await first.stop({ keep: true });

    await lab.change('backend', (text) => text.replace('{{policy}}', '{{policy}}\n    frobnicate'));
    const second = await lab.start({ dir: first.dir });
    onTestFinished(() => second.stop());
    await second.balancer.start();
    await serves(second, 'web', 'one');
    await serves(second, 'api', 'two');
    expect(held(second)).toEqual(['templates/backend: last-good']);
  });
});
