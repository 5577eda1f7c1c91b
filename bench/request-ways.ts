import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readProcesses } from '../src/haproxy/master.ts';
import { connectRuntime } from '../src/haproxy/runtime-connection.ts';
import { statRows } from '../src/haproxy/stat.ts';
import { ask } from '../test/support/ask.ts';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';

/** The way in which a request finds its service. */
export type RouteKind = 'host' | 'wildcard' | 'path';

export type Fleet = {
  readonly kind: RouteKind;
  readonly services: number;
  /** Where the two servers of the first service are, and the one of each other service. */
  readonly servers: readonly [string, string];
  /** A folder with a certificate for `www.example.com`. */
  readonly certificates: string;
  /** Further fields of the policy of the first service. */
  readonly fields?: object;
};

/** A configuration that another HAProxy can be started with once this one is gone. */
export type RequestFiles = { readonly kind: RouteKind; readonly http: number; readonly config: string };

/** An HAProxy with some configuration, and what it costs. */
export type RequestWay = {
  readonly http: number;
  readonly https: number;
  readonly config: string;
  /** Processor time that HAProxy's worker has taken, in µs. */
  cpu(): Promise<number>;
  /** Which part of the requests to the first service went by a connection that was there before. */
  reused(): Promise<number>;
  close(): Promise<void>;
};

export const host = 'www.example.com';
const name = (service: number) => `shop-${service}`;

/** The host and the path that lead to the first service. */
export const requested: Readonly<Record<RouteKind, string>> = { host: '/', wildcard: '/', path: '/shop-0/' };

// The fields of a policy, and the same in the map of a hand-written configuration.
const routes: Readonly<Record<RouteKind, (service: number) => { readonly policy: object; readonly key: string }>> = {
  host: (i) => one(i === 0 ? host : `${name(i)}.example.com`),
  wildcard: (i) => {
    const domain = i === 0 ? 'example.com' : `${name(i)}.example.com`;
    return { policy: { hosts: [`*.${domain}`] }, key: `.${domain}` };
  },
  path: (i) => ({ policy: { hosts: [host], paths: [`/${name(i)}`] }, key: `${host}/${name(i)}/` }),
};

const one = (exact: string) => ({ policy: { hosts: [exact] }, key: exact });

const lookUps: Readonly<Record<RouteKind, string>> = {
  host: 'req.hdr(host),lower,map_str',
  wildcard: 'req.hdr(host),lower,map_end',
  path: 'base,map_beg',
};

// So that the checks of 3,000 servers are not what is measured.
const check = { kind: 'tcp', interval: '60s' };

/** pointsman as it is run, with the servers there from the start or put when it serves already. */
export async function startPointsman(haproxy: string, dir: string, fleet: Fleet, when: 'file' | 'run-time') {
  const [http = 0, https = 0, admin = 0] = await freePorts(3);
  const registry = join(dir, 'registry');
  const instances = async (service: number, servers: readonly string[]) => {
    await mkdir(join(registry, 'instances', name(service)), { recursive: true });
    for (const [i, server] of servers.entries())
      await writeFile(join(registry, 'instances', name(service), `s${i}`), server);
  };
  await mkdir(join(registry, 'services'), { recursive: true });
  for (let i = 0; i < fleet.services; i += 1) {
    const fields = i === 0 ? fleet.fields : {};
    const policy = { ...routes[fleet.kind](i).policy, check, ...fields };
    await writeFile(join(registry, 'services', name(i)), JSON.stringify(policy));
    if (i > 0) await instances(i, [fleet.servers[0]]);
  }
  if (when === 'file') await instances(0, fleet.servers);
  const child = spawn(
    resolve('bin', 'pointsman'),
    ['balance', '--registry', `dir:${registry}`, '--dir', join(dir, 'b'), '--id', 'bench', '--haproxy', haproxy,
      '--http', `127.0.0.1:${http}`, '--https', `127.0.0.1:${https}`, '--certificates', fleet.certificates,
      '--admin', `127.0.0.1:${admin}`, '--log-format', 'json', '--reuse-interval', 'never'], // biome-ignore format: a command line
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  try {
    await until('pointsman serves', () => log.includes('"event":"serving"'), { deadlineMs: 180_000 });
    if (when === 'run-time') await instances(0, fleet.servers);
    await untilServed(http, fleet);
  } catch (error) {
    await ended(child);
    throw error;
  }
  const pid = (await readProcesses(join(dir, 'b/run/master.sock'), 5000))?.workerPid;
  const config = join(dir, 'b/haproxy.cfg');
  return wayOf({ http, https, config, pid, socket: join(dir, 'b/run/haproxy.sock'), close: () => ended(child) });
}

/** A configuration that somebody would write by hand for the same services. */
export async function startHandWritten(haproxy: string, dir: string, fleet: Fleet): Promise<RequestWay> {
  const [http = 0, https = 0] = await freePorts(2);
  const [socket, map, config] = [join(dir, 'h.sock'), join(dir, 'h.map'), join(dir, 'h.cfg')];
  const numbers = Array.from({ length: fleet.services }, (_, i) => i);
  const server = (address: string, i: number) =>
    `    server s${i} ${address} weight 100 check inter 60s rise 1 fall 3\n`;
  const backends = numbers.map((i) => {
    const servers = i === 0 ? fleet.servers : fleet.servers.slice(0, 1);
    return `backend ${name(i)}\n    balance roundrobin\n${servers.map(server).join('')}`;
  });
  await writeFile(map, numbers.map((i) => `${routes[fleet.kind](i).key} ${name(i)}\n`).join(''));
  await writeFile(
    config,
    `global
    stats socket ${socket} mode 600 level admin
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
frontend f
    bind 127.0.0.1:${http}
    bind 127.0.0.1:${https} ssl crt ${join(fleet.certificates, `${host}.pem`)} alpn h2,http/1.1 ssl-min-ver TLSv1.2
    option forwardfor
    use_backend %[${lookUps[fleet.kind]}(${map})]
${backends.join('')}`,
  );
  // Detached, as pointsman's is: the kernel shares the processor out by session.
  const child = spawn(haproxy, ['-db', '-f', config], { stdio: 'ignore', detached: true });
  await untilServed(http, fleet);
  return wayOf({ http, https, config, pid: child.pid, socket, close: () => ended(child) });
}

async function ended(child: ReturnType<typeof spawn>): Promise<void> {
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await gone;
}

/** Until each of the two servers answered a request. */
async function untilServed(port: number, { kind }: Fleet): Promise<void> {
  let good = 0;
  await until(
    'both servers answer',
    async () => {
      const { status } = await ask(port, host, requested[kind]);
      good = status === 200 ? good + 1 : 0;
      return good >= 10;
    },
    { deadlineMs: 120_000 },
  );
}

type Parts = {
  readonly http: number;
  readonly https: number;
  readonly config: string;
  readonly pid: number | undefined;
  readonly socket: string;
  readonly close: () => Promise<void>;
};

const wayOf = ({ http, https, config, pid, socket, close }: Parts): RequestWay => ({
  http,
  https,
  config,
  async cpu() {
    const tasks = await readdir(`/proc/${pid}/task`);
    const spent = tasks.map(async (task) => (await readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8')).split(' '));
    return (await Promise.all(spent)).reduce((sum, [ns]) => sum + Number(ns), 0) / 1000;
  },
  async reused() {
    const runtime = await connectRuntime({ path: socket, greetingMs: 5000, answerMs: 5000, onLost: () => undefined });
    const answers = await runtime.run([`show stat ${name(0)} 4 -1`]);
    runtime.close();
    const counts = [...statRows(answers.join('\n'))].map((cell) => [Number(cell('connect')), Number(cell('reuse'))]);
    const [connect, reuse] = [0, 1].map((i) => counts.reduce((sum, count) => sum + (count[i] ?? 0), 0));
    return (reuse ?? 0) / ((connect ?? 0) + (reuse ?? 0));
  },
  close,
});
