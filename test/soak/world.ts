import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import { onTestFinished } from 'vitest';
import { readProcesses } from '../../src/haproxy/master.ts';
import { signal } from '../../src/haproxy/processes.ts';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { ask } from '../support/ask.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { freePorts } from '../support/ports.ts';
import { type PointsmanProcess, startPointsman } from '../support/processes.ts';
import { until } from '../support/until.ts';

export const services = 10;
export const instances = 1000;
/** An instance that a process registers; all others are written by hand. */
export const registeredKey = 'instances/s0/registered';

export type World = Awaited<ReturnType<typeof startWorld>>;

/**
 * Three etcd, a balancer on a disk of its own that also keeps a file, an application that answers for all instances, and a
 * process that registers one.
 */
export async function startWorld() {
  const app = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => app.listen(0, '0.0.0.0', resolve));
  const appPort = (app.address() as AddressInfo).port;
  const etcd = await startEtcd(3);
  const disk = await tinyDisk();
  const settings = await mkdtemp(join(tmpdir(), 'pm-soak-settings-'));
  const [http = 0, admin = 0] = await freePorts(2);
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/' });
  const masterSocket = join(disk.path, 'run/master.sock');
  onTestFinished(async () => {
    await registry.close();
    const left = await readProcesses(masterSocket, 2000);
    if (left?.masterPid !== undefined) signal(left.masterPid, 'SIGKILL');
    if (left?.workerPid !== undefined) signal(left.workerPid, 'SIGKILL');
    await etcd.close();
    await disk.remove();
    await rm(settings, { recursive: true, force: true });
    await new Promise((resolve) => {
      app.close(resolve);
      app.closeAllConnections();
    });
  });

  const world = accessTo({ etcd, registry, disk, masterSocket, http, admin, appPort });
  for (let s = 0; s < services; s += 1) await world.write(`services/s${s}`, world.policyOf());
  const all = Array.from({ length: instances }, (_, i) => i);
  await Promise.all(all.map((i) => registry.write(world.keyOf(i), world.registrationOf(i))));
  const template = Array.from(
    { length: services },
    (_, s) => `{{#service.s${s}}}{{#instances}}s${s}/{{id}}\n{{/instances}}{{/service.s${s}}}`,
  );
  await writeFile(join(settings, 'instances.mustache'), template.join(''));
  await writeFile(
    join(settings, 'pointsman.yaml'),
    `templates:\n  - src: ${join(settings, 'instances.mustache')}\n    dest: ${world.file}\n`,
  );
  const start = (): PointsmanProcess =>
    startPointsman([
      ...['balance', '--registry', etcd.location, '--dir', disk.path, '--id', 'soak', '--reload-interval', '200ms'],
      ...['--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--config', join(settings, 'pointsman.yaml')],
    ]);
  let balancer = start();
  await serving(balancer);
  await until('requests are answered', world.answers, { deadlineMs: 30_000 });
  const register = startPointsman([
    ...['register', '--registry', etcd.location, '--service', 's0', '--id', 'registered', '--ttl', '3s'],
    ...['--address', `127.250.0.1:${appPort}`],
  ]);
  await register.logged('announced');
  return Object.assign(world, {
    register,
    /** The one that runs now. */
    balancer: () => balancer,
    /** Kills it, and starts another one after this time, in ms. */
    async replaceBalancer(afterMs: number): Promise<void> {
      balancer.kill('SIGKILL');
      await balancer.ended;
      await pause(afterMs);
      balancer = start();
      await serving(balancer);
    },
  });
}

type WorldParts = {
  readonly etcd: EtcdCluster;
  readonly registry: Registry;
  readonly disk: Awaited<ReturnType<typeof tinyDisk>>;
  readonly masterSocket: string;
  readonly http: number;
  readonly admin: number;
  readonly appPort: number;
};

/** Writes to the registry of a world, and asks its balancer. */
function accessTo(parts: WorldParts) {
  const { registry, disk, http, admin, appPort } = parts;
  const world = {
    ...parts,
    /** A file that lists what is served. */
    file: join(disk.path, 'instances.txt'),
    keyOf: (i: number) => `instances/s${i % services}/i${i}`,
    registrationOf: (i: number, more: object = {}) =>
      JSON.stringify({ address: `127.${1 + Math.floor(i / 250)}.0.${1 + (i % 250)}`, port: appPort, ...more }),
    policyOf: (balance: 'roundrobin' | 'leastconn' = 'roundrobin') => JSON.stringify({ balance }),
    answers: async () => (await ask(http, 's0')).status === 200,
    status: async (): Promise<{ readonly held: readonly unknown[] }> =>
      JSON.parse((await ask(admin, 'localhost', '/status')).body),
    /** Writes until it is written: members come and go. */
    write: (key: string, value: string, ttlMs?: number) =>
      until(
        `${key} is written`,
        () =>
          registry
            .write(key, value, { ...(ttlMs === undefined ? {} : { ttlMs }), signal: AbortSignal.timeout(5000) })
            .then(
              () => true,
              () => false,
            ),
        { deadlineMs: 60_000 },
      ),
    /** Says that what is held is gone for good, until it is heard. */
    releaseAll: () =>
      until(
        'nothing is held',
        async () => {
          if ((await world.status()).held.length === 0) return true;
          await world.write('releases/*', '{}', 60_000);
          return false;
        },
        { deadlineMs: 60_000, everyMs: 200 },
      ),
  };
  return world;
}

/** It serves; a machine that does all this at once may take its time. */
function serving(pointsman: PointsmanProcess): Promise<unknown> {
  return until('it serves', () => pointsman.log.some(({ event }) => event === 'serving'), { deadlineMs: 60_000 });
}

/** A disk of its own for the balancer, small enough to be filled. */
async function tinyDisk() {
  const path = await mkdtemp(join(tmpdir(), 'pm-soak-'));
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path]);
  return {
    path,
    async full(ms: number): Promise<void> {
      const filler = join(path, 'filler');
      await writeFile(filler, Buffer.alloc(32 * 1024 * 1024)).catch(() => undefined);
      await pause(ms);
      await rm(filler, { force: true });
    },
    async remove(): Promise<void> {
      await execa('umount', ['-l', path]);
      await rm(path, { recursive: true, force: true });
    },
  };
}
