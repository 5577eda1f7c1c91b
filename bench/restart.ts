// Requests that fail while pointsman is restarted, upgraded and downgraded under load, and how long no change is applied.
//
//   node scripts/bench.mjs restart [rounds, 10] > bench/results/restart.md
//   HAPROXY_BIN names another HAProxy
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { buildOlder, olderCommit } from '../test/support/older-build.ts';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { startSteadyLoad } from './steady-load.ts';
import { haproxyBin, root } from './ways.ts';

const rounds = Number(process.argv[2] ?? 10);

const etcd = await startEtcd();
const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
const [http = 0, admin = 0, port = 0] = await freePorts(3);
const app = createServer((request, response) => {
  setTimeout(() => response.end('ok'), request.url === '/slow' ? 2000 : 0);
}).listen(port, '127.0.0.1');
const newer = resolve('bin', 'pointsman');
const older = await buildOlder(resolve('.'));

/** A balancer that serves, and how long that took, in ms. */
async function start(executable: string) {
  const began = performance.now();
  const child = spawn(
    executable,
    ['balance', '--registry', etcd.location, '--root', root, '--dir', join(dir, 'b'), '--id', 'bench', '--haproxy', haproxyBin,
      '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--log-format', 'json'], // biome-ignore format: a command line
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise((done) => child.once('close', done));
  await until('pointsman serves', () => log.includes('"event":"serving"'), { deadlineMs: 60_000, everyMs: 2 });
  return {
    tookMs: performance.now() - began,
    async end(signal: NodeJS.Signals) {
      child.kill(signal);
      await ended;
    },
  };
}

type Case = {
  readonly name: string;
  readonly signal: NodeJS.Signals;
  readonly from: string;
  readonly to: string;
  readonly withoutEtcd?: boolean;
};

async function measure({ name, signal, from, to, withoutEtcd = false }: Case): Promise<void> {
  let running = await start(from);
  await pause(500);
  const result = { answered: 0, failed: 0, reasons: new Map<string, number>(), away: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    if (withoutEtcd) await etcd.members[0]?.stop();
    const load = startSteadyLoad({ ports: [http], host: 'web', keepAlive: 4, fresh: 4, slow: 1, everyMs: 2 });
    await pause(1000);
    const began = performance.now();
    await running.end(signal);
    const successor = await start(to);
    result.away.push(performance.now() - began);
    await pause(1000);
    const { answered, failed, reasons } = await load.stop();
    result.answered += answered;
    result.failed += failed;
    for (const text of reasons) {
      const [count = '', reason = ''] = text.split(' × ');
      result.reasons.set(reason, (result.reasons.get(reason) ?? 0) + Number(count));
    }
    if (withoutEtcd) {
      etcd.members[0]?.start();
      await etcd.healthy();
    }
    running = successor;
    if (from !== to && round + 1 < rounds) {
      await successor.end('SIGKILL');
      running = await start(from);
    }
  }
  await running.end('SIGTERM').catch(() => undefined);
  const why = [...result.reasons].map(([reason, count]) => `${count} × ${reason}`).join('; ');
  console.log(
    row(name, result.answered, result.failed, why, ms(quantile(result.away, 0.5)), ms(quantile(result.away, 1))),
  );
}

await registry.write('instances/web/web-1', `127.0.0.1:${port}`);
console.log('# Restarts\n');
console.log(`${await describeMachine(haproxyBin)}.\n`);
console.log(
  `Each line is ${rounds} times, under load: 4 clients with keep-alive, 4 without, and 1 whose requests take 2 s. "Away" is the time from the signal until the new pointsman serves: no change is applied in it.\n`,
);
console.log(row('', 'answered', 'failed', 'how', 'away p50, ms', 'away max, ms'));
console.log(row('---', '---', '---', '---', '---', '---'));
const cases: readonly Case[] = [
  { name: 'planned restart: SIGUSR2', signal: 'SIGUSR2', from: newer, to: newer },
  { name: 'planned restart, etcd unavailable', signal: 'SIGUSR2', from: newer, to: newer, withoutEtcd: true },
  { name: 'crash: kill -9', signal: 'SIGKILL', from: newer, to: newer },
  { name: 'stop and start: SIGTERM', signal: 'SIGTERM', from: newer, to: newer },
  ...('missing' in older
    ? []
    : [
        { name: `upgrade from ${olderCommit}: kill -9`, signal: 'SIGKILL', from: older.executable, to: newer } as const,
        { name: `downgrade to ${olderCommit}: SIGUSR2`, signal: 'SIGUSR2', from: newer, to: older.executable } as const,
        { name: `${olderCommit}: SIGTERM and start`, signal: 'SIGTERM', from: older.executable, to: older.executable } as const, // biome-ignore format: a table
      ]),
];
for (const one of cases) await measure(one);
if ('missing' in older) console.log(`\nNot measured: upgrade and downgrade, because ${older.missing}`);
else await older.remove();
app.close();
app.closeAllConnections();
await registry.close();
await etcd.close();
await rm(dir, { recursive: true, force: true });
