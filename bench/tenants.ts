// The effect of one tenant's keys on all others: requests that fail, how long others' changes take, and the balancer's memory. It takes about
// three minutes on a machine that does nothing else.
//
//   node scripts/bench.mjs tenants [seconds of each attack, 5] [words of an attack's name] > bench/results/tenants.md
//   HAPROXY_BIN names another HAProxy. As root the names are looked up at a nameserver that answers nothing.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { ask } from '../test/support/ask.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { startSteadyLoad } from './steady-load.ts';
import { type Attack, attacks, takePort } from './tenant-attacks.ts';
import { startBalancer, startSilence } from './tenant-balancer.ts';
import { haproxyBin, root } from './ways.ts';

const seconds = Number(process.argv[2] ?? 5);
const only = process.argv[3] ?? '';
const services = 20;
const began = performance.now();

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
const silence = await startSilence(dir);
const [good, other, evil, taken] = [await app('good'), await app('other'), await app('evil'), await takePort()];
for (let i = 0; i < services; i += 1) await registry.write(`instances/web-${i}/a`, good.address);
await registry.write('services/web-1', '{"hosts":["web-1"]}');

/** How long it takes until so many answers in a row are as expected, in ms; what takes 30 s has failed. */
async function answersOf(http: number, host: string, expected: number | string, inARow = 1): Promise<number> {
  const asked = performance.now();
  for (let found = 0; ; ) {
    const { status, body } = await ask(http, host).catch(() => ({ status: 0, body: '' }));
    found = status === expected || body === expected ? found + 1 : 0;
    const took = performance.now() - asked;
    if (found === inARow || took > 30_000) return took;
    await pause(1);
  }
}

/** How long another service's instance takes that moves to another address, from the acknowledged put to its first answer. */
async function moves(http: number, signal: AbortSignal): Promise<readonly number[]> {
  const took: number[] = [];
  for (let round = 0; !signal.aborted; round += 1) {
    const [address, text] = round % 2 === 0 ? [other.address, 'other'] : [good.address, 'good'];
    await registry.write('instances/web-2/a', address);
    took.push(await answersOf(http, 'web-2', text));
    await pause(20);
  }
  return took;
}

/** The same of policies that need a reload, each of another service, so that none of them has many. */
async function policies(http: number, signal: AbortSignal): Promise<readonly number[]> {
  const took: number[] = [];
  for (let name = 3; name < 17 && !signal.aborted; name += 1) {
    await registry.write(`services/web-${name}`, '{"access":{"deny":["127.0.0.0/8"]}}');
    took.push(await answersOf(http, `web-${name}`, 403));
    await pause(1500, undefined, { signal }).catch(() => undefined);
  }
  for (let i = 0; i < took.length; i += 1) await registry.remove(`services/web-${3 + i}`);
  return took;
}

/** A new instance of another service, and a drain of the old one: until only the new one answers. */
async function deploy(http: number): Promise<number> {
  await registry.write('instances/web-18/b', other.address);
  await registry.write('overrides/web-18/a', '{"kind":"drain"}');
  const took = await answersOf(http, 'web-18', 'other', 5);
  await registry.remove('overrides/web-18/a');
  await registry.remove('instances/web-18/b');
  return took;
}

const late = (took: number): string => (took > 30_000 ? 'never' : ms(took));

async function measure(attack: Attack, index: number): Promise<void> {
  const started = { registry: etcd.location, silence };
  const balancer = await startBalancer({ ...started, dir: join(dir, `b${index}`) });
  const tenantRegistry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  let written = 0;
  const tenant = {
    write(key: string, value: string) {
      written += 1;
      return tenantRegistry.write(key, value);
    },
    remove: (key: string) => tenantRegistry.remove(key),
    address: evil.address,
    http: balancer.http,
    admin: balancer.admin,
    taken: (taken.address() as AddressInfo).port,
  };
  const loads = ['web-0', 'web-1', 'web-19'].map((host) =>
    startSteadyLoad({ ports: [balancer.http], host, keepAlive: 2, fresh: 2, slow: 0, everyMs: 10 }),
  );
  await pause(500);
  const reloads = await balancer.metric('reloads_total');
  const signal = AbortSignal.timeout(seconds * 1000);
  const [moved, reloaded] = await Promise.all([
    moves(balancer.http, signal),
    policies(balancer.http, signal),
    attack.run(tenant, signal),
  ]);
  const deployed = await deploy(balancer.http);
  const results = await Promise.all(loads.map((load) => load.stop()));
  for (const reason of results.flatMap((result) => result.reasons)) console.error(`${attack.name}: ${reason}`);
  const sum = (of: (result: (typeof results)[number]) => number) => results.reduce((all, one) => all + of(one), 0);
  const failed = sum((result) => result.failed);
  const foreign = sum(({ answered, bodies }) => answered - (bodies.get('good') ?? 0));
  const made = (await balancer.metric('reloads_total')) - reloads;
  const memory = await balancer.memory();
  await balancer.close();
  const successor = await startBalancer({ ...started, dir: join(dir, `c${index}`) });
  const answers = successor.serves
    ? await Promise.all(['web-0', 'web-2'].map((host) => ask(successor.http, host)))
    : [];
  const served = answers.length === 2 && answers.every(({ status }) => status === 200);
  await successor.close();
  console.log(
    row(attack.kind, attack.name, written, sum(({ answered }) => answered), failed, foreign,
      `${late(quantile(moved, 0.5))} / ${late(quantile(moved, 0.99))} (${moved.length})`,
      late(quantile(reloaded, 1)), late(deployed), made, memory.pointsman.toFixed(0), memory.haproxy.toFixed(0),
      served ? ms(successor.startedMs) : 'not served'), // biome-ignore format: a row
  );
  await etcd.ctl('del', '--prefix', `${root}instances/evil/`);
  await etcd.ctl('del', `${root}services/evil`);
  await etcd.ctl('del', `${root}claims/evil`);
  await tenantRegistry.close();
}

const resolver = silence === undefined ? '' : ' Its nameserver answers nothing.';
console.log('# What one tenant can do to the others\n');
console.log(
  `\`node scripts/bench.mjs tenants ${seconds} > bench/results/tenants.md\`: ${await describeMachine(haproxyBin)}. The balancer may open 4,096 files.${resolver}\n`,
);
console.log(`One tenant writes \`instances/evil/…\` and \`services/evil\` for ${seconds} s. There are ${services} other services:

- \`answered\`, \`failed\`, \`misled\`: 12 clients ask three of them. \`misled\` are answers of the tenant's instances.
- \`put → served\`: from the acknowledged put of another service's instance at another address to its first answer; p50 / p99, and how many.
- \`policy\`: the longest time of a policy of another service that needs a reload, written every 1.5 s.
- \`deploy\`: after ${seconds} s, a new instance of another service, and a drain of the old one, until only the new one answers.
- \`memory\`: the peak of pointsman's process, and all processes of HAProxy at the end, in MB.
- \`start\`: a balancer with an empty folder afterwards, with the tenant's keys there, until it serves.

Compare with \`quiet\`, where the tenant writes nothing; the first and the last row show how much two such runs differ.
`);
const columns = ['kind', 'the tenant writes', 'keys written', 'answered', 'failed', 'misled', 'put → served, ms', 'policy, ms',
  'deploy, ms', 'reloads', 'memory, pointsman', 'HAProxy', 'start, ms']; // biome-ignore format: a row
console.log(row(...columns));
console.log(row(...columns.map(() => '---')));
for (const [index, attack] of attacks.entries()) {
  if (attack.name.includes(only)) await measure(attack, index);
}
console.log(`\nThe whole run took ${((performance.now() - began) / 1000).toFixed(0)} s.`);
for (const { close } of [good, other, evil]) close();
taken.close();
silence?.close();
await registry.close();
await etcd.close();
await rm(dir, { recursive: true, force: true });
