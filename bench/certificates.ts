// What certificates by ACME take, with pebble as the authority and three balancers on this machine: from the policy of a host to a
// handshake that proves its name on all three, and the renewal of many certificates at once.
//
//   node scripts/bench.mjs certificates [certificates, 200] [rounds, 20]
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { startApp } from '../test/support/app.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { startPebble } from '../test/support/pebble.ts';
import { freePorts } from '../test/support/ports.ts';
import { PointsmanProcess } from '../test/support/processes.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { root } from './ways.ts';

const many = Number(process.argv[2] ?? 200);
const rounds = Number(process.argv[3] ?? 20);
const together = 20;
const haproxy = process.env['HAPROXY_BIN'] ?? 'haproxy';
const now = (): number => performance.now();

const dir = await mkdtemp(join(tmpdir(), 'pm-certificates-'));
const [etcd, pebble, app] = await Promise.all([startEtcd(), startPebble(), startApp('app')]);
const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
const sealingKeys = join(dir, 'sealing-keys');
await writeFile(sealingKeys, randomBytes(32).toString('base64'));
const balancers = await Promise.all(['lb-1', 'lb-2', 'lb-3'].map(startBalancer));
pebble.validators.ask(...balancers.map(({ http }) => http));
const ca = (await until('the authority has a root', () => pebble.root())) ?? '';

async function startBalancer(id: string) {
  const [http = 0, admin = 0, https = 0] = await freePorts(3);
  const where = ['--registry', etcd.location, '--root', root, '--dir', join(dir, id), '--id', id, '--haproxy', haproxy];
  const listening = ['--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--https', `127.0.0.1:${https}`];
  const acme = [...pebble.flags, '--acme-email', 'ops@example.com', '--sealing-keys', sealingKeys];
  const process = new PointsmanProcess(['balance', ...where, ...listening, ...acme], {});
  await process.logged('serving');
  return { http, admin, https, process };
}

/** The serial number of a certificate that proves the host; undefined: the handshake fails. */
function handshake(port: number, servername: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername, ca }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', () => resolve(undefined));
  });
}

const policy = (hosts: readonly string[]) => JSON.stringify({ hosts, https: { certificate: 'auto', redirect: true } });
const onAll = (host: string) =>
  until(
    `${host} has HTTPS on all`,
    async () => {
      const serials = await Promise.all(balancers.map(({ https }) => handshake(https, host)));
      return serials.every((one) => one !== undefined && one === serials[0]) ? serials[0] : undefined;
    },
    { everyMs: 2, deadlineMs: 120_000 },
  );
const reloads = () =>
  balancers.reduce((sum, { process }) => sum + process.log.filter(({ event }) => event === 'reloaded').length, 0);

try {
  console.log(`Three balancers. ${await describeMachine(haproxy)}\n`);
  const declare = async (service: string, hosts: readonly string[]): Promise<void> => {
    await registry.write(`services/${service}`, policy(hosts));
    await registry.write(`instances/${service}/a`, app.address);
  };
  await declare('first', ['first.example.com']);
  await onAll('first.example.com');
  const measure = async (what: string, act: (i: number) => Promise<string>): Promise<string> => {
    const took: number[] = [];
    for (let i = 0; i < rounds; i += 1) {
      // No reload of the round before holds up the next one (--reload-interval).
      await pause(1100);
      const began = now();
      await onAll(await act(i));
      took.push(now() - began);
    }
    return row(what, ms(quantile(took, 0.5)), ms(quantile(took, 0.95)), ms(Math.max(...took)));
  };
  console.log(row('policy written → HTTPS on three balancers', 'median, ms', '95 %, ms', 'most, ms'));
  console.log('|---|--:|--:|--:|');
  const hosts = ['first.example.com'];
  const oneMore = async (i: number): Promise<string> => {
    hosts.push(`r${i}.example.com`);
    await registry.write('services/first', policy(hosts));
    return `r${i}.example.com`;
  };
  console.log(await measure('one more host of a service', oneMore));
  const oneService = async (i: number): Promise<string> => {
    await declare(`s${i}`, [`s${i}.example.com`]);
    return `s${i}.example.com`;
  };
  console.log(await measure('a host of a new service', oneService));

  const names = Array.from({ length: many }, (_, i) => `h${i}.example.com`);
  const [began, since] = [now(), reloads()];
  // A policy has a bounded number of hosts.
  for (let i = 0; i < many; i += together) {
    await declare(`many-${i}`, names.slice(i, i + together));
  }
  const serials = new Map<string, string>();
  for (const name of names) serials.set(name, await onAll(name));
  console.log(`\n${row(`${many} certificates`, 'seconds', 'reloads of all balancers')}`);
  console.log('|---|--:|--:|');
  console.log(
    row(
      `first order, of ${Math.ceil(many / together)} new services`,
      ((now() - began) / 1000).toFixed(1),
      reloads() - since,
    ),
  );
  const [again, before] = [now(), reloads()];
  await Promise.all(names.map((name) => registry.write(`acme/renewals/${name}`, '{}')));
  for (const name of names) {
    await until(`${name} is renewed`, async () => (await onAll(name)) !== serials.get(name), {
      everyMs: 50,
      deadlineMs: 120_000,
    });
  }
  console.log(row('renewal', ((now() - again) / 1000).toFixed(1), reloads() - before));
  const orders = names.map((name) => pebble.ordersOf(name));
  console.log(`\nOrders of one host: at least ${Math.min(...orders)}, at most ${Math.max(...orders)} (2 are wanted).`);
} finally {
  await Promise.all(balancers.map(({ process }) => process.destroy()));
  await registry.close();
  await Promise.all([etcd.close(), pebble.close(), app.close()]);
  await rm(dir, { recursive: true, force: true });
}
