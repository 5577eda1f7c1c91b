// What a plan costs a balancer: POST /plan with a change of each policy, on a balancer with that many services. `blocked` is the
// longest answer of /healthz meanwhile, which waits for the event loop.
//
//   node scripts/bench.mjs plan [services, 1000]
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { ask, exchange } from '../test/support/ask.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { freePorts } from '../test/support/ports.ts';
import { PointsmanProcess } from '../test/support/processes.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { root } from './ways.ts';

const services = Number(process.argv[2] ?? 1000);
const haproxy = process.env['HAPROXY_BIN'] ?? 'haproxy';
const now = (): number => performance.now();
const policy = (name: string, server: string) =>
  JSON.stringify({ hosts: [`${name}.example.com`], timeouts: { server }, check: { kind: 'none' } });

const etcd = await startEtcd();
const dir = await mkdtemp(join(tmpdir(), 'pm-plan-'));
const [http = 0, admin = 0] = await freePorts(2);
const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
const names = Array.from({ length: services }, (_, i) => `service-${i}`);
for (const name of names) {
  await registry.write(`services/${name}`, policy(name, '30s'));
  await registry.write(`instances/${name}/one`, '127.0.0.1:9');
}
const where = ['--registry', etcd.location, '--root', root, '--dir', dir, '--haproxy', haproxy];
const listening = ['--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`];
const balancer = new PointsmanProcess(['balance', ...where, ...listening], {});
await balancer.logged('serving');
await until('it has applied everything', async () => {
  const status = JSON.parse((await ask(admin, 'localhost', '/status')).body);
  return status.ready && status.pendingReload.length === 0;
});

async function measure(what: string, changes: readonly object[], validate: boolean): Promise<string> {
  await until('it plans', async () => (await plan([], false)).status === 200);
  let [done, blocked] = [false, 0];
  const watching = (async () => {
    while (!done) {
      const asked = now();
      await ask(admin, 'localhost', '/healthz');
      blocked = Math.max(blocked, now() - asked);
    }
  })();
  const began = now();
  const answer = await until('it plans this', async () => {
    const one = await plan(changes, validate);
    return one.status === 503 ? undefined : one;
  });
  const took = now() - began;
  done = true;
  await watching;
  const { commands, reload, validation } = JSON.parse(answer.body);
  return `| ${what} | ${commands.count} | ${reload.count} | ${validation.kind} | ${took.toFixed(0)} | ${blocked.toFixed(0)} |`;
}

const plan = (changes: readonly object[], validate: boolean) =>
  exchange(admin, {
    ...{ host: 'localhost', path: '/plan', method: 'POST', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ changes, validate }),
    deadlineMs: 30_000,
  });

const policies = (server: string, some = names) =>
  some.map((name) => ({ key: `services/${name}`, value: policy(name, server) }));
try {
  console.log(`${services} services. ${await describeMachine(haproxy)}\n`);
  console.log('| changes | commands | reasons for a reload | HAProxy | answer, ms | blocked, ms |');
  console.log('|---|--:|--:|---|--:|--:|');
  console.log(await measure('none', [], false));
  console.log(await measure('the same policies again', policies('30s'), false));
  console.log(await measure('one policy', policies('31s', names.slice(0, 1)), false));
  console.log(await measure('every policy', policies('31s'), false));
  console.log(await measure('every policy, validated', policies('31s'), true));
  const instances = names.map((name) => ({ key: `instances/${name}/two`, value: '127.0.0.1:10' }));
  console.log(await measure('an instance more of every service', instances, false));
} finally {
  balancer.kill('SIGTERM');
  await balancer.ended;
  await registry.close();
  await etcd.close();
  await rm(dir, { recursive: true, force: true });
}
