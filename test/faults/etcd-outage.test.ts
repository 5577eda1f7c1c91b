import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { accesses, startEtcdWith } from '../support/etcd-with.ts';
import { isNightly } from '../support/nightly.ts';
import { freePort } from '../support/ports.ts';
import { connectionsOf, memoryOf } from '../support/proc.ts';
import { type PointsmanProcess, startPointsman } from '../support/processes.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

type Fault = { readonly fault: string; begin(): Promise<void> | void; end(): Promise<void> | void };

// Of each process. Deadlines grow with each that is not answered.
const attempts = 3;
const mostMemoryMb = 20;

/** Each takes half a minute. */
const tried = isNightly ? accesses : accesses.slice(-1);

describe.each(tried)('an outage of etcd with $access', (kind) => {
  test('costs no connection and no memory, in register and balance, nor is a web proxy asked', {
    timeout: 240_000,
  }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pm-outage-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const { etcd, flags, passwordFile } = await startEtcdWith(kind, dir);
    onTestFinished(() => etcd.close());
    const proxy = await startTcpProxy(etcd.members[0]?.clientPort ?? 0);
    onTestFinished(() => proxy.close());
    const registry = `${kind.tls ? 'etcds' : 'etcd'}://${proxy.endpoint}`;
    const common = ['--registry', registry, ...flags];
    // The proxies in the environment are not meant for etcd.
    const web = await startTcpProxy(1);
    onTestFinished(() => web.close());
    const names = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'all_proxy', 'grpc_proxy'];
    const env = Object.fromEntries(names.map((name) => [name, `http://${web.endpoint}`]));
    const register = startPointsman(['register', ...common, '--service', 'web', '--address', '127.0.0.1:1'], { env });
    await register.logged('announced');
    const places = ['--dir', join(dir, 'balance'), '--http', `127.0.0.1:${await freePort()}`];
    const balance = startPointsman(['balance', ...common, ...places, '--admin', `127.0.0.1:${await freePort()}`], {
      env,
    });
    await balance.logged('serving');

    for (const fault of faultsOf(proxy, passwordFile)) await survives(fault, [register, balance], proxy);
    // HAProxy outlives a balancer that is killed.
    balance.kill('SIGTERM');
    await balance.ended;
    expect(web.taken()).toBe(0);
    for (const { stderr } of [register, balance]) {
      expect(stderr.filter((line) => !line.startsWith('{'))).toEqual([]);
      expect(stderr.filter((line) => /\bundefined\b|\bnull\b/.test(line))).toEqual([]);
    }
  });
});

function faultsOf(proxy: TcpProxy, passwordFile: string | undefined): readonly Fault[] {
  return [
    { fault: 'refused', begin: () => proxy.refuse(true), end: () => proxy.refuse(false) },
    { fault: 'black hole', begin: () => proxy.blackHole(true), end: () => proxy.blackHole(false) },
    ...(passwordFile === undefined
      ? []
      : [
          {
            fault: 'wrong password',
            async begin() {
              await writeFile(passwordFile, 'wrong\n');
              proxy.cut();
            },
            end: () => writeFile(passwordFile, 'first\n'),
          },
        ]),
  ];
}

async function survives(
  { fault, begin, end }: Fault,
  who: readonly PointsmanProcess[],
  proxy: TcpProxy,
): Promise<void> {
  const connections = () => who.map(({ pid }) => connectionsOf(pid, proxy.port));
  const before = await settled(connections);
  const memory = who.map(({ pid }) => memoryOf(pid));
  const taken = proxy.taken();
  const most = before.map(() => 0);
  await begin();
  // Each of them has a member to follow or a lease to keep.
  await until(
    `${fault}: many have tried again`,
    () => {
      for (const [i, count] of connections().entries()) most[i] = Math.max(most[i] ?? 0, count);
      return proxy.taken() >= taken + attempts * who.length;
    },
    { deadlineMs: 60_000 },
  );
  await end();
  // A connection that is seldom used comes back when it is needed.
  await until(`${fault}: at most as many connections as before (${before})`, () =>
    connections().every((count, i) => count >= 1 && count <= (before[i] ?? 0)),
  );
  for (const [i, count] of (await settled(connections)).entries()) {
    expect(count, fault).toBeLessThanOrEqual(before[i] ?? 0);
  }
  // The one that is closed may be there for a moment beside the one that is opened.
  for (const [i, count] of most.entries()) expect(count, fault).toBeLessThanOrEqual((before[i] ?? 0) * 2);
  for (const [i, { pid }] of who.entries()) {
    expect(memoryOf(pid) - (memory[i] ?? 0), `${fault}: MB`).toBeLessThan(mostMemoryMb);
  }
}

/** Once it is the same for a while. */
function settled(count: () => readonly number[]): Promise<readonly number[]> {
  let last = '';
  let same = 0;
  return until('as many connections as a moment ago', () => {
    const now = count();
    same = `${now}` === last ? same + 1 : 0;
    last = `${now}`;
    return same > 100 && now;
  });
}
