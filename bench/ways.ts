import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { validateConfig } from '../src/haproxy/check.ts';
import { readProcesses, reloadMaster } from '../src/haproxy/master.ts';
import { connectRuntime } from '../src/haproxy/runtime-connection.ts';
import { openMember } from '../src/registry/etcd/member-client.ts';
import type { EtcdCluster } from '../test/support/etcd.ts';
import { freePort, freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';

/** One way to bring what etcd says to HAProxy. */
export type Way = {
  readonly name: 'pointsman' | 'floor' | 'reload';
  readonly port: number;
  /** The process that brings changes, where it is one of its own. */
  readonly pid?: number | undefined;
  /** From the start of the process until it served everything, in ms. */
  readonly startedMs?: number;
  readonly memoryMb?: () => Promise<number>;
  /** The value of a metric, where there are any. */
  readonly metric?: (name: string) => Promise<number>;
  close(): Promise<void>;
};

/** The entries in etcd before a way begins, and the servers of its HAProxy. */
export type Fleet = { readonly services: number; readonly servers: number };

export const root = '/bench/';
export const haproxyBin = process.env['HAPROXY_BIN'] ?? 'haproxy';

/** Services are `web`, `web-1`, …; the newcomer joins the first. */
export const serviceName = (index: number): string => (index === 0 ? 'web' : `web-${index}`);

// They have no weight, so that only the newcomer can answer and everything else is a 503.
export const siblingHost = (i: number) =>
  `127.${1 + Math.floor(i / 62_500)}.${Math.floor(i / 250) % 250}.${1 + (i % 250)}`;

/** The memory of a process now (`VmRSS`), or at most (`VmHWM`), in MB. */
export async function memoryMb(pid: number | undefined, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

/** The sum of a metric of the balancer whose admin port this is. */
export async function metricOf(admin: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
  const values = [...text.matchAll(new RegExp(`^pointsman_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

export async function startPointsman(etcd: EtcdCluster, dir: string, id = 'bench', haproxy = haproxyBin): Promise<Way> {
  const [http = 0, admin = 0] = await freePorts(2);
  const started = performance.now();
  const child = spawn(
    resolve('bin', 'pointsman'),
    ['balance', '--registry', etcd.location, '--root', root, '--dir', join(dir, 'b'), '--id', id, '--haproxy', haproxy,
      '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--log-format', 'json', '--log-level', 'info'], // biome-ignore format: a command line
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (log.length < 1_000_000) log += chunk.toString();
  });
  await until('pointsman serves', () => log.includes('"event":"serving"'), { deadlineMs: 60_000, everyMs: 2 });
  const startedMs = performance.now() - started;
  return {
    name: 'pointsman',
    port: http,
    pid: child.pid,
    startedMs,
    memoryMb: () => memoryMb(child.pid, 'VmRSS'),
    metric: (name) => metricOf(admin, name),
    async close() {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** The least that could do it: watch → command, nothing else. */
export async function startFloor(etcd: EtcdCluster, dir: string, fleet: Fleet): Promise<Way> {
  const haproxy = await startHaproxy(dir, fleet, { numbered: true });
  const runtime = await connectRuntime({
    path: haproxy.socket,
    greetingMs: 5000,
    answerMs: 5000,
    onLost: () => undefined,
  });
  // A new name each time: one that still closes a connection could not be added again.
  let round = 0;
  const named = new Map<string, string>();
  const stop = await watchInstances(etcd, (id, value) => {
    const last = named.get(id);
    const name = value === undefined ? last : `${id}-${round}`;
    round += 1;
    if (name !== undefined) named.set(id, name);
    const commands =
      value === undefined
        ? [`set server web/${name} state maint`, `del server web/${name}`]
        : [`add server web/${name} ${value} weight 100 id ${1_000_000 + round}`, `set server web/${name} state ready`];
    runtime.run(commands).catch(() => undefined);
  });
  return {
    name: 'floor',
    port: haproxy.port,
    async close() {
      stop();
      runtime.close();
      await haproxy.close();
    },
  };
}

/** The steps of confd: write, check, reload, one after the other. */
export async function startReload(etcd: EtcdCluster, dir: string, fleet: Fleet): Promise<Way> {
  const haproxy = await startHaproxy(dir, fleet, { numbered: false });
  const standing = new Map<string, string>();
  let running: Promise<void> | undefined;
  let stale = false;
  const reload = async () => {
    while (stale) {
      stale = false;
      const lines = [...standing].map(([id, value]) => `    server ${id} ${value} weight 100\n`);
      await writeFile(haproxy.config, haproxy.text(lines.join('')));
      await validateConfig(haproxyBin, haproxy.config, 30_000);
      await reloadMaster(haproxy.master, 30_000);
    }
    running = undefined;
  };
  const stop = await watchInstances(etcd, (id, value) => {
    if (value === undefined) standing.delete(id);
    else standing.set(id, value);
    stale = true;
    running ??= reload();
  });
  return {
    name: 'reload',
    port: haproxy.port,
    async close() {
      stop();
      await running;
      await haproxy.close();
    },
  };
}

/** An HAProxy of its own for the other two ways, with the same backends. Without numbers HAProxy tries all to find a free one. */
async function startHaproxy(dir: string, { services, servers }: Fleet, { numbered }: { readonly numbered: boolean }) {
  const port = await freePort();
  const [socket, master, config] = [join(dir, 'h.sock'), join(dir, 'm.sock'), join(dir, 'h.cfg')];
  const lines = Array.from({ length: services }, () => '');
  for (let i = 0; i < servers; i += 1) {
    const id = numbered ? ` id ${i + 1}` : '';
    lines[i % services] += `    server s${i} ${siblingHost(i)}:80 weight 0${id}\n`;
  }
  const backends = lines.slice(1).map((text, i) => `backend ${serviceName(i + 1)}\n    balance leastconn\n${text}`);
  const text = (more: string) => `global
    stats socket ${socket} mode 600 level admin expose-fd listeners
    stats timeout 1h
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    option idle-close-on-response
frontend f
    bind 127.0.0.1:${port}
    use_backend %[req.hdr(host),field(1,:),lower]
${backends.join('')}backend web
    balance leastconn
${lines[0]}${more}`;
  await writeFile(config, text(''));
  const child = spawn(haproxyBin, ['-W', '-S', master, '-f', config], { stdio: 'ignore' });
  await until('HAProxy serves', async () => (await readProcesses(master, 1000))?.workerPid !== undefined);
  return {
    port,
    socket,
    master,
    config,
    text,
    async close() {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** Runs `act` for each event of a newcomer's key, with nothing between. */
async function watchInstances(etcd: EtcdCluster, act: (id: string, value: string | undefined) => void) {
  const client = await openMember({ address: etcd.endpoints[0] ?? '' }, {});
  const prefix = `${root}instances/web/new`;
  await new Promise<void>((resolve, reject) => {
    const opening = client.watch({
      onMessage(response) {
        if (response.created) resolve();
        for (const { type, kv } of response.events) {
          const id = kv.key.toString().slice(`${root}instances/web/`.length);
          act(id, type === 'Delete' ? undefined : kv.value.toString());
        }
      },
      onBytes: () => undefined,
      onEnd: reject,
    });
    opening.then((call) => {
      call.write({ create_request: { key: Buffer.from(prefix), range_end: Buffer.from(`${prefix}~`) } });
    }, reject);
  });
  return () => client.close();
}
