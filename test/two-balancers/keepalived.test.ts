import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { until } from '../support/until.ts';
import { type Network, startNetwork, whyNoNetworks } from './network.ts';

const reason = whyNoNetworks();
if (reason !== undefined) process.stderr.write(`two balancers with keepalived are not tested: ${reason}\n`);

describe.skipIf(reason !== undefined)('two balancers with keepalived', () => {
  let network: Network;
  let first: ReturnType<Network['startBalancer']>;
  beforeAll(async () => {
    network = await startNetwork();
    first = network.startBalancer('lb1');
    network.startBalancer('lb2');
    for (const host of ['lb1', 'lb2'] as const) {
      const ready = () => network.run(host, 'curl', '-sf', 'http://127.0.0.1:8404/readyz').catch(() => '');
      await until(`${host} is ready`, ready, { deadlineMs: 60_000, everyMs: 100 });
      await network.startKeepalived(host);
      if (host === 'lb1') await until('lb1 has the address', () => network.hasAddress('lb1'), { deadlineMs: 30_000 });
    }
    await network.answers();
  }, 120_000);
  afterAll(() => network?.close(), 60_000);

  const printOutputsOnFailure = () => onTestFailed(() => void process.stderr.write(network.outputs.join('')));

  test('a planned stop of the one with the address fails no request', async () => {
    printOutputsOnFailure();
    const stopLoad = await network.startLoad();
    first.child.kill('SIGTERM');
    await first.ended;
    expect(await network.hasAddress('lb2')).toBe(true);
    expect(await network.hasAddress('lb1')).toBe(false);
    const { requests, ...result } = await stopLoad();
    expect(result).toEqual({ failed: 0, failedForMs: 0, reasons: [] });
    expect(requests).toBeGreaterThan(100);
    process.stderr.write(`planned stop: 0 of ${requests} failed\n`);
  });

  test('after the loss of the machine with the address, requests fail for at most 1 s', async () => {
    printOutputsOnFailure();
    network.startBalancer('lb1');
    const ready = () => network.run('lb1', 'curl', '-sf', 'http://127.0.0.1:8404/readyz').catch(() => '');
    await until('lb1 is ready again', ready, { deadlineMs: 60_000, everyMs: 100 });
    // keepalived believes a machine after two checks, a second apart.
    const backup = () => network.outputs.join('').split('Entering BACKUP STATE').length > 3;
    await until('lb1 may have the address again', backup, { deadlineMs: 30_000 });
    const stopLoad = await network.startLoad();
    await network.lose('lb2');
    await until('lb1 has the address', () => network.hasAddress('lb1'), { deadlineMs: 30_000 });
    await network.answers();
    const { requests, failed, failedForMs, reasons } = await stopLoad();
    process.stderr.write(`loss: ${failed} of ${requests} failed within ${Math.round(failedForMs)} ms: ${reasons}\n`);
    expect(failedForMs).toBeLessThanOrEqual(1000);
  });
});
