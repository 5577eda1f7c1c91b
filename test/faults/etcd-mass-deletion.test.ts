import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { startEtcd } from '../support/etcd.ts';
import { fillEtcd } from '../support/etcd-fill.ts';
import { until } from '../support/until.ts';

// MASS=1000000 is for a test by hand.
const count = Number(process.env['MASS'] ?? 50_000);
const deadlineMs = 30_000 + count / 10;

test(`${count} keys that are deleted at once are gone at once`, { timeout: 60_000 + 4 * deadlineMs }, async () => {
  const root = '/pointsman/';
  const etcd = await startEtcd();
  onTestFinished(() => etcd.close());
  await fillEtcd(
    etcd.endpoints,
    Array.from({ length: count }, (_, i) => [`${root}instances/web-${i % 500}/i-${i}`, '10.0.0.1:80'] as const),
  );
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  onTestFinished(() => registry.close());
  const recorder = new Recorder(registry);
  onTestFailed(() => {
    process.stderr.write(`--- the follower heard\n${recorder.story().slice(-2000)}\n`);
  });
  await until('it has them', () => recorder.view.size === count, { deadlineMs });
  await until('it watches', () => recorder.events.some(({ kind }) => kind === 'connected'));
  const asked = performance.now();
  await etcd.ctl('--command-timeout=60s', 'del', '--prefix', root);
  const deleted = performance.now();
  await until('they are gone', () => recorder.view.size === 0, { deadlineMs });
  if (process.env['MASS'] !== undefined) {
    const [took, then] = [deleted - asked, performance.now() - deleted].map(Math.round);
    process.stdout.write(
      `etcd took ${took} ms, the follower ${then} ms more; it has ${process.memoryUsage.rss() >> 20} MB\n`,
    );
  }
  await registry.write('instances/web/new', '10.0.0.1:80');
  await recorder.sees('instances/web/new', '10.0.0.1:80');
  expect(recorder.violations).toEqual([]);
});
