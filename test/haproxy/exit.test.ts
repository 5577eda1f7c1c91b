import { expect, onTestFinished, test } from 'vitest';
import { signal } from '../../src/haproxy/process-signal.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

test('HAProxy that ends while it is being restarted is started once more', async () => {
  let starts = 0;
  const exits = () => running.lines.filter((line) => line.includes('"haproxy-exited"')).length;
  const running: TestBalancer = await startBalancer({
    onStarted: async ({ workerPid }) => {
      starts += 1;
      if (starts !== 2 || workerPid === undefined) return;
      signal(workerPid, 'SIGKILL');
      await until('the balancer knows that it ended', () => exits() === 2);
    },
  });
  onTestFinished(() => running.stop());
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
