// What one tenant's keys do to all others: requests that fail, and how long others' changes take.
//
//   node scripts/bench.mjs tenants [seconds of each attack, 20] [words of an attack's name] > bench/results/tenants.md
//   HAPROXY_BIN names another HAProxy
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { ask } from '../test/support/ask.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { startSteadyLoad } from './steady-load.ts';
import { type Attack, attacks, type Tenant, takePort } from './tenant-attacks.ts';
import { haproxyBin, memoryMb, metricOf, root } from './ways.ts';

const seconds = Number(process.argv[2] ?? 20);
const only = process.argv[3] ?? '';
const services = 20;

const app = (text: string) =>
  new Promise<{ address: string; close(): void }>((done) => {
    const server = createServer((_, response) => response.end(text)).listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      done({
        address: `127.0.0.1:${port}`,
        close() {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });

const etcd = await startEtcd(1, {
  args: ['--quota-backend-bytes', String(8 * 2 ** 30), '--max-request-bytes', '10000000'],
});
const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
const dir = await mkdtemp(join(tmpdir(), 'pm-tenants-'));
const [good, other, evil, taken] = [await app('good'), await app('other'), await app('evil'), await takePort()];
for (let i = 0; i < services; i += 1) await registry.write(`instances/web-${i}/a`, good.address);
await registry.write('services/web-1', '{"hosts":["web-1"]}');

/** A balancer that may open 4,096 files, as under many service supervisors. */
async function startBalancer(name: string, deadlineMs = 60_000) {
  const [http = 0, admin = 0] = await freePorts(2);
  const child = spawn(
    'sh',
    ['-c', 'ulimit -n 4096; exec "$@"', 'sh', resolve('bin', 'pointsman'),
      'balance', '--registry', etcd.location, '--root', root, '--dir', join(dir, name), '--id', 'bench', '--haproxy', haproxyBin,
      '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--log-format', 'json'], // biome-ignore format: a command line
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-1_000_000);
  });
  const serves = await until('pointsman serves', () => log.includes('"event":"serving"'), {
    deadlineMs,
    everyMs: 5,
  }).then(
    () => true,
    () => false,
  );
  return {
    serves,
    http,
    admin,
    metric: (name: string) => metricOf(admin, name),
    memoryMb: () => memoryMb(child.pid, 'VmHWM'),
    async close() {
      const gone = new Promise((done) => child.once('close', done));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** How long changes of others take until a request meets them, in ms; one that takes 30 s has failed. */
async function changes(http: number, signal: AbortSignal) {
  const byCommand: number[] = [];
  const byReload: number[] = [];
  const answersOf = async (host: string, expected: number | string) => {
    const began = performance.now();
    for (;;) {
      const { status, body } = await ask(http, host).catch(() => ({ status: 0, body: '' }));
      const took = performance.now() - began;
      if (status === expected || body === expected || took > 30_000) return took;
      await pause(1);
    }
  };
  for (let round = 0; !signal.aborted; round += 1) {
    await registry.write('instances/web-2/a', round % 2 === 0 ? other.address : good.address);
    byCommand.push(await answersOf('web-2', round % 2 === 0 ? 'other' : 'good'));
    if (round % 20 === 0) {
      const answer = 200 + ((round / 20) % 2) * 203;
      await registry.write('services/web-3', answer === 200 ? '{}' : '{"access":{"deny":["127.0.0.0/8"]}}');
      byReload.push(await answersOf('web-3', answer));
    }
    await pause(100);
  }
  return { byCommand, byReload };
}

async function measure(attack: Attack, index: number): Promise<void> {
  const balancer = await startBalancer(`b${index}`);
  const tenantRegistry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const tenant: Tenant = {
    registry: tenantRegistry,
    address: evil.address,
    http: balancer.http,
    admin: balancer.admin,
    taken: (taken.address() as AddressInfo).port,
  };
  const loads = ['web-0', 'web-1', 'web-19'].map((host) =>
    startSteadyLoad({ ports: [balancer.http], host, keepAlive: 2, fresh: 2, slow: 0, everyMs: 5 }),
  );
  await pause(1000);
  const reloads = await balancer.metric('reloads_total');
  const signal = AbortSignal.timeout(seconds * 1000);
  const [felt] = await Promise.all([changes(balancer.http, signal), attack.run(tenant, signal)]);
  const results = await Promise.all(loads.map((load) => load.stop()));
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  const foreign = results.reduce(
    (sum, { bodies }) => sum + [...bodies].reduce((n, [body, count]) => n + (body === 'good' ? 0 : count), 0),
    0,
  );
  const answered = results.reduce((sum, result) => sum + result.answered, 0);
  const reloaded = (await balancer.metric('reloads_total')) - reloads;
  const memory = await balancer.memoryMb();
  await balancer.close();
  const began = performance.now();
  const successor = await startBalancer(`c${index}`);
  const startedMs = performance.now() - began;
  const answers = successor.serves
    ? await Promise.all(['web-0', 'web-2'].map((host) => ask(successor.http, host)))
    : [];
  const served = answers.filter(({ status }) => status === 200);
  await successor.close();
  console.log(
    row(attack.name, answered, failed, foreign, ms(quantile(felt.byCommand, 0.5)), ms(quantile(felt.byCommand, 1)),
      ms(quantile(felt.byReload, 1)), reloaded, memory.toFixed(0), `${ms(startedMs)}${served.length === 2 ? '' : ' (not served)'}`), // biome-ignore format: a row
  );
  await etcd.ctl('del', '--prefix', `${root}instances/evil/`);
  await etcd.ctl('del', `${root}services/evil`);
  await registry.remove('services/web-3');
  await tenantRegistry.close();
}

console.log('# What one tenant can do to the others\n');
console.log(`${await describeMachine(haproxyBin)}. The balancer may open 4,096 files.\n`);
console.log(
  `One tenant writes the keys of its service for ${seconds} s. Others: ${services} services; 12 clients ask three of them, and change two. "Change" is the time from the acknowledged write of another service's instance to the first answer that shows it; "policy" is that of another service's policy that needs a reload. "Start" is a balancer with an empty folder afterwards, with the tenant's keys there. Memory is the peak of pointsman's process.\n`,
);
console.log(
  row(
    'The tenant writes',
    'answered',
    'failed',
    "the tenant's answer",
    'change p50, ms',
    'change max, ms',
    'policy max, ms',
    'reloads',
    'memory, MB',
    'start, ms',
  ),
);
console.log(row(...Array.from({ length: 10 }, () => '---')));
for (const [index, attack] of attacks.entries()) {
  if (attack.name.includes(only)) await measure(attack, index);
}
for (const { close } of [good, other, evil]) close();
taken.close();
await registry.close();
await etcd.close();
await rm(dir, { recursive: true, force: true });
