import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { buildProcess, Child } from '../registry/child.ts';
import { Recorder } from '../registry/recorder.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const key = 'instances/web/a';

let etcd: EtcdCluster;
let program: string;
let roots = 0;
beforeAll(async () => {
  etcd = await startEtcd(3);
  program = await buildProcess(join(import.meta.dirname, '../../node_modules/.test'), 'etcd-process', 'external');
});
afterAll(() => etcd.close());

/** A process that follows and holds a key, and a registry that sees the same undisturbed. */
async function start(ttlMs: number, endpoints = etcd.endpoints) {
  roots += 1;
  const root = `/client-${roots}/`;
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const recorder = new Recorder(registry);
  const child = new Child(program, [endpoints.join(), root, String(ttlMs), `${key}=10.0.0.1:80`]);
  onTestFinished(async () => {
    await child.close();
    await registry.close();
  });
  await child.says('held');
  await recorder.sees(key, '10.0.0.1:80');
  return { registry, recorder, child };
}

describe('a process that is stopped for a while', () => {
  const countOf = (child: Child, word: string) => child.said.filter(([w]) => w === word).length;
  const write = async ({ registry }: Awaited<ReturnType<typeof start>>, count: number) => {
    const writes = Array.from({ length: count }, (_, i) => registry.write(`keys/k-${i % 30}`, `value ${i}`));
    return (await Promise.all(writes)).reduce((last, revision) => (revision > last ? revision : last));
  };
  /** Its view is etcd's, and nothing was missing, doubled or out of order. */
  const agrees = async ({ registry, child }: Awaited<ReturnType<typeof start>>, last: bigint) => {
    await until(`it has revision ${last}`, () => BigInt(String(child.last('view')?.[2] ?? 0)) >= last, {
      deadlineMs: 30_000,
    });
    const { entries } = await registry.read('');
    await until(
      `its view is etcd's`,
      () => {
        expect(child.view).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value]).sort()));
        return true;
      },
      { deadlineMs: 20_000 },
    );
    expect(child.last('view')?.[3]).toEqual([]);
  };

  test('for less than its TTL keeps its registration, and has all that it missed', { timeout: 90_000 }, async () => {
    // A busy machine may take long to write, and the lease must not end meanwhile.
    const client = await start(45_000);
    const { recorder, registry, child } = client;
    child.signal('SIGSTOP');
    const last = await write(client, 300);
    // As long as etcd's shortest lease lasts.
    await registry.write('keys/clock', 'tick', { ttlMs: 2000 });
    await recorder.sees('keys/clock', 'tick');
    await recorder.sees('keys/clock', undefined, 15_000);
    child.signal('SIGCONT');
    await agrees(client, last);
    await until(
      'the lease is renewed',
      async () => {
        const leases = (await etcd.ctl('lease', 'list')).split('\n').slice(1);
        const told = await Promise.all(leases.map((lease) => etcd.ctl('lease', 'timetolive', '--keys', lease)));
        return told.some((text) => text.includes(key) && Number(/remaining\((\d+)s\)/.exec(text)?.[1]) >= 43);
      },
      { deadlineMs: 30_000, everyMs: 200 },
    );
    expect(countOf(child, 'granted')).toBe(1);
    expect(recorder.changes.filter((change) => change.includes(`delete ${key}`))).toEqual([]);
  });

  test('for more than its TTL registers again, and has all that it missed', { timeout: 90_000 }, async () => {
    const client = await start(3000);
    const { recorder, child } = client;
    child.signal('SIGSTOP');
    await recorder.sees(key, undefined, 30_000);
    await write(client, 300);
    child.signal('SIGCONT');
    await recorder.sees(key, '10.0.0.1:80', 30_000);
    await child.says('restored');
    expect(countOf(child, 'granted')).toBe(2);
    await agrees(client, await write(client, 1));
  });
});

describe('a process that closes its registry ends by itself, with no socket and no timer left', () => {
  test.each(['healthy', 'cut', 'silent', 'refused'])(
    'when its connections are %s',
    { timeout: 60_000 },
    async (how) => {
      const proxies = await Promise.all(etcd.members.map(({ clientPort }) => startTcpProxy(clientPort)));
      onTestFinished(async () => {
        await Promise.all(proxies.map((proxy) => proxy.close()));
      });
      const { child, recorder } = await start(
        5000,
        proxies.map(({ endpoint }) => endpoint),
      );
      await child.says('connected');
      for (const proxy of proxies) {
        if (how === 'cut') proxy.cut();
        if (how === 'silent') proxy.blackHole(true);
        if (how === 'refused') proxy.refuse(true);
      }
      if (how !== 'healthy') await child.says('disconnected');
      if (how === 'cut') await child.says('connected', 2);
      child.signal('SIGTERM');
      await child.says('closed');
      await child.ended();
      expect(child.exitCode).toBe(0);
      // A lease that could not be revoked expires.
      await recorder.sees(key, undefined, 30_000);
    },
  );
});
