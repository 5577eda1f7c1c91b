// The cost of an outage of etcd for `register` and `balance`: connections to etcd and memory before it, at most during it, and after it.
//
//   node scripts/bench.mjs outage [seconds, 60] [executable, bin/pointsman]
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { accesses, startEtcdWith } from '../test/support/etcd-with.ts';
import { freePort } from '../test/support/ports.ts';
import { connectionsOf, memoryOf } from '../test/support/proc.ts';
import { startTcpProxy } from '../test/support/tcp-proxy.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { row } from './quantiles.ts';

const seconds = Number(process.argv[2] ?? 60);
const executable = process.argv[3] ?? join(process.cwd(), 'bin/pointsman');

/** How long a process is left alone before its memory is read. */
const settleMs = 5000;

type Started = { readonly name: string; readonly pid: number; readonly child: ChildProcess };

async function start(args: readonly string[], says: string): Promise<Started> {
  const child = spawn(executable, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, POINTSMAN_LOG_FORMAT: 'json' },
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-100_000);
  });
  await until(`${args[0]} is ready`, () => log.includes(`"event":"${says}"`));
  if (child.pid === undefined) throw new Error('it has not started');
  return { name: args[0] ?? '', pid: child.pid, child };
}

const read = ({ pid }: Started, port: number) => ({
  connections: connectionsOf(pid, port),
  memory: Math.round(memoryOf(pid)),
});

async function measure(kind: (typeof accesses)[number], fault: 'refused' | 'black hole'): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
  const { etcd, flags } = await startEtcdWith(kind, dir);
  const proxy = await startTcpProxy(etcd.members[0]?.clientPort ?? 0);
  const common = ['--registry', `${kind.tls ? 'etcds' : 'etcd'}://${proxy.endpoint}`, ...flags];
  const places = ['--dir', join(dir, 'balance'), '--http', `127.0.0.1:${await freePort()}`];
  const who = [
    await start(['register', ...common, '--service', 'web', '--address', '127.0.0.1:1'], 'announced'),
    await start(['balance', ...common, ...places, '--admin', `127.0.0.1:${await freePort()}`], 'serving'),
  ];
  await pause(settleMs);
  const before = who.map((one) => read(one, proxy.port));
  const most = who.map(() => ({ connections: 0, memory: 0 }));
  const end = performance.now() + seconds * 1000;
  if (fault === 'refused') proxy.refuse(true);
  else proxy.blackHole(true);
  while (performance.now() < end) {
    for (const [i, one] of who.entries()) {
      const [now, highest] = [read(one, proxy.port), most[i]];
      if (highest === undefined) continue;
      highest.connections = Math.max(highest.connections, now.connections);
      highest.memory = Math.max(highest.memory, now.memory);
    }
    await pause(50);
  }
  proxy.refuse(false);
  proxy.blackHole(false);
  await pause(2 * settleMs);
  for (const [i, one] of who.entries()) {
    const [was, peak, now] = [before[i], most[i], read(one, proxy.port)];
    const of = (what: 'connections' | 'memory') => `${was?.[what]} / ${peak?.[what]} / ${now[what]}`;
    console.log(row(one.name, kind.access, fault, of('connections'), of('memory')));
  }
  for (const { child } of who) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  }
  await proxy.close();
  await etcd.close();
  await rm(dir, { recursive: true, force: true });
}

console.log(`# What an outage of etcd costs\n`);
console.log(`${await describeMachine()}. ${seconds} s without etcd; connections to etcd and memory (RSS, MB)`);
console.log('before, at most during it, and 10 s after it.\n');
console.log(row('process', 'etcd with', 'outage', 'connections', 'memory'));
console.log(row('---', '---', '---', '---', '---'));
for (const kind of accesses) for (const fault of ['refused', 'black hole'] as const) await measure(kind, fault);
