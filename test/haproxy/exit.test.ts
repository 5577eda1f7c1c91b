import { unlink } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { isAlive, signal } from '../../src/haproxy/processes.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { startOwnBalancer } from '../support/serving.ts';
import { until } from '../support/until.ts';

test('HAProxy that ends while it is being restarted is started once more', async () => {
  let starts = 0;
  const exits = () => running.lines.filter((line) => line.includes('"haproxy-exited"')).length;
  const running: TestBalancer = await startOwnBalancer({
    onStarted: async ({ workerPid }) => {
      starts += 1;
      if (starts !== 2 || workerPid === undefined) return;
      signal(workerPid, 'SIGKILL');
      await until('the balancer knows that it ended', () => exits() === 2);
    },
  });
  running.snapshot({ 'instances/web/a': '127.0.0.1:81' });
  await running.balancer.start();
  const { workerPid } = (await running.haproxy.processes()) ?? {};
  expect(workerPid).toBeDefined();
  if (workerPid !== undefined) signal(workerPid, 'SIGKILL');
  await until('it runs again', async () => starts === 3 && (await running.haproxy.processes()) !== undefined);
  running.change({ 'instances/web/b': '127.0.0.2:81' });
  await running.applied();
  await until('it is well', () => running.balancer.status().troubles.length === 0);
});

test('HAProxy of an earlier pointsman ends with this one, also when its master does not answer', async () => {
  const former = await startBalancer();
  former.snapshot({ 'instances/web/a': '127.0.0.1:81' });
  await former.balancer.start();
  await former.applied();
  const { masterPid = 0, workerPid = 0 } = (await former.haproxy.processes()) ?? {};
  onTestFinished(() => {
    for (const pid of [masterPid, workerPid]) if (pid !== 0 && isAlive(pid)) signal(pid, 'SIGKILL');
  });
  await former.balancer.stop(0, 'leave');
  const later = await startBalancer({ dir: former.dir, port: former.port });
  await later.balancer.start();
  // As while somebody reloads it.
  await unlink(later.paths.masterSocket);
  await later.stop();
  expect([masterPid, workerPid].filter((pid) => pid === 0 || isAlive(pid))).toEqual([]);
});
