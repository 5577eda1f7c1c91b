import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { startEtcd } from '../support/etcd.ts';
import { fillEtcd } from '../support/etcd-fill.ts';
import { isNightly } from '../support/nightly.ts';
import { until } from '../support/until.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

// `node scripts/bench.mjs mass-deletion` does it with 1,000,000.
const count = isNightly ? 50_000 : 20_000;

test(`${count} keys that are deleted at once are gone at once, and no memory of them stays`, async () => {
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
  // The recorder keeps all that it hears, so the memory is that of another follower.
  const heard: WeakRef<object>[] = [];
  registry.follow((event) => {
    if (event.kind === 'snapshot') heard.push(new WeakRef(event.entries));
    if (event.kind === 'changes') heard.push(new WeakRef(event.changes));
  });
  await until('it has them', () => recorder.view.size === count && heard.length === 1);
  await until('it watches', () => recorder.events.some(({ kind }) => kind === 'connected'));
  await etcd.ctl('--command-timeout=60s', 'del', '--prefix', root);
  await until('they are gone', () => recorder.view.size === 0 && heard.length === 2);
  await registry.write('instances/web/new', '10.0.0.1:80');
  await recorder.sees('instances/web/new', '10.0.0.1:80');
  expect(recorder.violations).toEqual([]);
  await until('no memory of them stays', () => {
    collect();
    return heard.slice(0, 2).every((one) => one.deref() === undefined);
  });
});
