import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { startEtcd } from '../support/etcd.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** Numbers that a seed repeats (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const faultMs = Number(process.env['FAULT_MS'] ?? 20_000);

test('whatever is cut, stopped and compacted, a follower ends with what etcd has', {
  timeout: faultMs + 90_000,
}, async () => {
  const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 1_000_000);
  process.stderr.write(`FAULT_SEED=${seed}\n`);
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;

  const etcd = await startEtcd(3);
  onTestFinished(() => etcd.close());
  const proxies = await Promise.all(etcd.members.map(({ clientPort }) => startTcpProxy(clientPort)));
  onTestFinished(async () => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });
  const root = '/random/';
  const writer = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const reader = openEtcdRegistry({ endpoints: proxies.map(({ endpoint }) => endpoint), root, random });
  onTestFinished(async () => {
    await writer.close();
    await reader.close();
  });
  const recorder = new Recorder(reader);
  await recorder.started();

  const ends = performance.now() + faultMs;
  const write = async () => {
    while (performance.now() < ends) {
      const key = `instances/web/i-${Math.floor(random() * 40)}`;
      // A write that fails may have been done all the same: only etcd knows, and is asked in the end.
      const signal = AbortSignal.timeout(15_000);
      await (random() < 0.3 ? writer.remove(key, signal) : writer.write(key, `${random()}`, { signal })).catch(
        () => undefined,
      );
    }
  };
  const disturb = async () => {
    while (performance.now() < ends) {
      const proxy = pick(proxies);
      const member = pick(etcd.members);
      switch (pick(['cut', 'cut-after', 'refuse', 'black-hole', 'stop', 'kill', 'compact'])) {
        case 'cut':
          proxy.cut();
          break;
        case 'cut-after':
          proxy.cutAfter(Math.floor(random() * 20_000));
          break;
        case 'refuse':
          proxy.refuse(true);
          await pause(random() * 500);
          proxy.refuse(false);
          break;
        case 'black-hole':
          proxy.blackHole(true);
          await pause(random() * 3000);
          proxy.blackHole(false);
          break;
        case 'stop':
          member.signal('SIGSTOP');
          await pause(random() * 3000);
          member.signal('SIGCONT');
          break;
        case 'kill':
          await member.stop();
          await pause(random() * 500);
          member.start();
          break;
        case 'compact':
          await etcd.compact().catch(() => undefined);
          break;
      }
      await pause(random() * 400);
    }
  };
  await Promise.all([write(), write(), write(), disturb()]);
  for (const proxy of proxies) proxy.cutAfter(Number.POSITIVE_INFINITY);
  await etcd.healthy();
  const last = await writer.write('keys/end', 'end', { signal: AbortSignal.timeout(20_000) });
  await until('the follower has the end', () => recorder.revision >= last, { deadlineMs: 30_000 });
  const { entries } = await writer.read('');
  expect(recorder.values()).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value]).sort()));
  expect(recorder.violations).toEqual([]);
  await recorder.close();
});
