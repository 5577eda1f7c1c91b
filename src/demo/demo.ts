import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pc from 'picocolors';
import { Fault } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import { aborted, timeLimit } from '../waiting/time-limit.ts';
import { type DemoChild, startChild } from './child.ts';
import { type DemoTraffic, startTraffic } from './traffic.ts';

export type DemoOptions = {
  /** Run on a real etcd that is started for the demo; otherwise on a folder. */
  readonly etcd: boolean;
  /** How to start pointsman itself: node and its entry. */
  readonly pointsman: readonly [string, ...string[]];
  /** Opens the registry at a location as `--registry` takes it. */
  readonly openRegistry: (location: string) => Promise<Registry>;
  readonly print: (line: string) => void;
  /** Between two changes, in ms. */
  readonly everyMs: number;
  readonly signal: AbortSignal;
};

const httpPort = 8080;
const adminPort = 8404;
const firstInstances = 3;

type Start = (name: string, command: readonly [string, ...string[]], onLine?: (line: string) => void) => DemoChild;

/** The parts of the demo that run. */
type DemoWorld = DemoOptions & {
  readonly start: Start;
  readonly location: string;
  readonly http: number;
  readonly admin: number;
};

/** A balancer, its HAProxy and a handful of registered applications that come and go, until `signal` aborts. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { print, signal } = options;
  const dir = await mkdtemp(join(tmpdir(), 'pointsman-demo-'));
  const children: DemoChild[] = [];
  const start: Start = (name, command, onLine = () => undefined) => {
    const child = startChild(name, command, onLine);
    children.push(child);
    return child;
  };
  let traffic: DemoTraffic | undefined;
  const stopping = new AbortController();
  try {
    const http = await preferPort(httpPort);
    const admin = await preferPort(adminPort);
    const folder = join(dir, 'registry');
    if (!options.etcd) await mkdir(folder);
    const location = options.etcd ? await startEtcd(dir, start) : `dir:${folder}`;
    await declareService(options, location);
    const world: DemoWorld = { ...options, start, location, http, admin };
    const serving = startBalancer(world, join(dir, 'balancer'), stopping.signal);
    const running: DemoChild[] = [];
    while (running.length < firstInstances) running.push(await startInstance(world, running.length + 1));
    await Promise.race([serving, aborted(signal)]);
    if (signal.aborted) return;
    printAddresses(world);
    traffic = startTraffic(http, 20);
    await comeAndGo(world, running, traffic);
  } finally {
    traffic?.stop();
    stopping.abort();
    print(pc.dim('stopping; nothing is left behind'));
    // Instances first, so that the balancer sees them leave; the registry last.
    for (const child of children.reverse()) if (child.name.startsWith('web-')) void child.stop();
    await Promise.all(children.filter(({ name }) => name.startsWith('web-')).map(({ ended }) => ended));
    for (const child of children) await child.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Resolves when the balancer serves; rejects when it ends before `signal` aborts. */
function startBalancer(world: DemoWorld, dir: string, stopping: AbortSignal): Promise<void> {
  const { start, pointsman, location, http, admin, print, signal } = world;
  return new Promise((resolve, reject) => {
    const balancer = start(
      'balancer',
      [...pointsman, 'balance', '--registry', location, '--dir', dir, '--log-format', 'json',
        '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`], // biome-ignore format: a command line
      (line) => {
        const log = parseLogLine(line);
        if (log?.event === 'serving') resolve();
        // At the end all instances leave, which is no news.
        if (log?.event === 'applied' && !stopping.aborted)
          print(pc.dim(`           served ${format(log.ms)} after it was known, revision ${log.revision}`));
        if (log?.event === 'reloaded') print(pc.yellow(`           one reload: ${format(log.ms)}`));
        if (log === undefined) print(pc.red(line));
      },
    );
    void balancer.ended.then((how) => {
      if (!signal.aborted) reject(new Fault('haproxy-start', `the balancer ended: ${how}`));
    });
  });
}

async function startInstance({ start, pointsman, location, print }: DemoWorld, number: number): Promise<DemoChild> {
  const id = `web-${number}`;
  const port = await freePort();
  print(`${clock()} ${pc.green('+')} ${pc.bold(id)} joins on port ${port}`);
  return start(
    id,
    [...pointsman, 'register', '--registry', location, '--service', 'web', '--id', id,
      '--address', `127.0.0.1:${port}`, '--ttl', '5s', '--log-format', 'json',
      '--', ...pointsman, 'demo', '--app', id, '--port', String(port)], // biome-ignore format: a command line
  );
}

function printAddresses({ print, http, admin, location }: DemoWorld): void {
  print('');
  print(`  ${pc.bold('ask it')}      curl http://127.0.0.1:${http}/`);
  print(`  ${pc.bold('watch it')}    http://127.0.0.1:${admin}/    (a live page; /status and /metrics for programs)`);
  print(`  ${pc.bold('registry')}    ${location}`);
  print(`  ${pc.bold('stop it')}     Ctrl-C`);
  print('');
}

/** Prints the answers, and has an instance join or leave, in turn, until `signal` aborts. */
async function comeAndGo(world: DemoWorld, running: DemoChild[], traffic: DemoTraffic): Promise<void> {
  const { print, signal, everyMs } = world;
  let next = running.length + 1;
  for (let turn = 0; !signal.aborted; turn += 1) {
    await pause(everyMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) break;
    const { byInstance, failed, lastFailure } = traffic.take();
    const shares = [...byInstance].sort().map(([id, count]) => `${id} ${pc.cyan(String(count))}`);
    const failures = failed === 0 ? pc.green('0 failed') : pc.red(`${failed} failed (${lastFailure})`);
    print(`${clock()}   answered: ${shares.join('  ')}  ${failures}`);
    if (turn % 2 === 1 && running.length > 2) {
      const leaving = running.shift();
      print(`${clock()} ${pc.red('-')} ${pc.bold(leaving?.name ?? '')} leaves`);
      void leaving?.stop();
    } else {
      running.push(await startInstance(world, next));
      next += 1;
    }
  }
}

/** So that the demo answers whatever host it is asked for. */
async function declareService({ openRegistry, signal }: DemoOptions, location: string): Promise<void> {
  const registry = await openRegistry(location);
  try {
    const deadline = timeLimit(20_000, signal);
    await registry.write('services/web', JSON.stringify({ hosts: ['*'], balance: 'roundrobin' }), { signal: deadline });
  } finally {
    await registry.close();
  }
}

async function startEtcd(dir: string, start: Start): Promise<string> {
  const [client, peer] = [await freePort(), await freePort()];
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  const etcd = start(
    'etcd',
    ['etcd', '--data-dir', join(dir, 'etcd'), '--log-level', 'error',
    '--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl, '--listen-peer-urls', peerUrl,
    '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `default=${peerUrl}`], // biome-ignore format: a command line
  );
  let end: string | undefined;
  void etcd.ended.then((how) => {
    end = how;
  });
  const deadline = performance.now() + 15_000;
  while (!(await accepts(client))) {
    if (end !== undefined || performance.now() > deadline) {
      throw new Fault('registry-unreachable', `etcd did not start: ${end ?? 'no answer within 15 s'}`, {
        hint: 'install it, as root: apt-get install etcd-server; or run the demo without --etcd',
      });
    }
    await pause(20);
  }
  return `etcd://127.0.0.1:${client}`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The port, or another one when it is in use. */
async function preferPort(port: number): Promise<number> {
  return (await listens(port)) ?? freePort();
}

async function freePort(): Promise<number> {
  const port = await listens(0);
  if (port === undefined) throw new Fault('address-in-use', 'no free port on 127.0.0.1');
  return port;
}

function listens(port: number): Promise<number | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}

const clock = (): string => pc.dim(new Date().toTimeString().slice(0, 8));
const format = (ms: number | undefined): string => (ms === undefined ? '?' : `${ms} ms`);

/** The parts of pointsman's own log that the demo shows. */
type LogLine = {
  readonly event: string;
  readonly message: string;
  readonly revision: string | undefined;
  readonly ms: number | undefined;
};

/** Reads a line of pointsman's JSON log; undefined for anything else. */
function parseLogLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const record = new Map<string, unknown>(Object.entries(JSON.parse(line) as object));
    const text = (name: string) => {
      const value = record.get(name);
      return typeof value === 'string' ? value : undefined;
    };
    const ms = record.get('ms');
    return {
      event: text('event') ?? '',
      message: text('msg') ?? '',
      revision: text('revision'),
      ms: typeof ms === 'number' ? ms : undefined,
    };
  } catch {
    return undefined;
  }
}
