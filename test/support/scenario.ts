import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { signal } from '../../src/haproxy/processes.ts';
import { type Answer, ask } from './ask.ts';
import { type EtcdOptions, startEtcd } from './etcd.ts';
import { freePorts } from './ports.ts';
import { processes } from './proc.ts';
import { type PointsmanProcess, type StartOptions, startPointsman } from './processes.ts';
import { until } from './until.ts';

export type RegistryKind = 'folder' | 'etcd';

/** Ends the HAProxy of a balancer's folder: it outlives a killed pointsman by design. One that is just starting does not answer yet. */
export async function endHaproxy(balancerDir: string): Promise<void> {
  const socket = join(balancerDir, 'run/master.sock');
  await until('HAProxy is gone', () => {
    const ours = processes().filter(({ command }) => command.includes(socket));
    for (const { pid } of ours) signal(pid, 'SIGTERM');
    return ours.length === 0;
  });
}

/** A registry, a folder for a balancer, and ports for one test. All are removed when the test is finished. */
export async function startScenario(kind: RegistryKind, etcdOptions: EtcdOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-'));
  const [http = 0, admin = 0] = await freePorts(2);
  const balancerDir = join(dir, 'b');
  if (kind === 'folder') await mkdir(join(dir, 'registry'));
  const etcd = kind === 'etcd' ? await startEtcd(1, etcdOptions) : undefined;
  const location = etcd?.location ?? `dir:${join(dir, 'registry')}`;
  onTestFinished(async () => {
    await endHaproxy(balancerDir);
    await etcd?.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  });

  return {
    dir,
    balancerDir,
    http,
    admin,
    etcd,
    location,
    balancer(...more: readonly string[]): PointsmanProcess {
      return this.balancerWith({}, ...more);
    },
    balancerWith(options: StartOptions, ...more: readonly string[]): PointsmanProcess {
      const args = [
        ...['balance', '--registry', location, '--dir', balancerDir, '--reload-interval', '50ms'],
        ...['--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, ...more],
      ];
      return startPointsman(args, options);
    },
    /** Registers an instance of `web` under a lease that does not end on a busy machine. */
    register(id: string, address: string, ...more: readonly string[]): PointsmanProcess {
      const what = ['--service', 'web', '--id', id, '--address', address];
      return startPointsman(['register', '--registry', location, ...what, '--ttl', '30s', ...more]);
    },
    /** Registers an instance whose process the test kills: the lease is short. */
    registerMortal(id: string, address: string): PointsmanProcess {
      const what = ['--service', 'web', '--id', id, '--address', address];
      return startPointsman(['register', '--registry', location, ...what, '--ttl', '3s']);
    },
    /** Writes as a person does without pointsman. */
    async writeByHand(key: string, value: string): Promise<void> {
      if (etcd !== undefined) {
        await etcd.ctl('put', `/pointsman/${key}`, value);
        return;
      }
      const path = join(dir, 'registry', key);
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, value);
    },
    ask: (host: string, path = '/'): Promise<Answer> => ask(http, host, path),
    /** The different answers of a dozen requests, sorted. */
    async answers(host: string): Promise<string[]> {
      const bodies = new Set<string>();
      for (let i = 0; i < 12; i += 1) bodies.add((await ask(http, host)).body);
      return [...bodies].sort();
    },
    /** Waits until just these answer. */
    serves(host: string, names: readonly string[], deadlineMs = 30_000): Promise<boolean> {
      const all = async () => (await this.answers(host)).join() === names.join();
      return until(`${host} is served by ${names.join()}`, all, { deadlineMs, everyMs: 20 });
    },
    askAdmin: (path: string): Promise<Answer> => ask(admin, 'localhost', path),
  };
}
