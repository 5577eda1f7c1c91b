// The cost of a request: processor time of HAProxy's worker for each, under pointsman's configuration next to a hand-written
// one, with servers from the file and servers that were added at run time; the answers a second, how long an answer takes at
// a fixed rate, and how many requests reuse a connection.
//
//   node scripts/bench.mjs requests [versions, 2.6,3.0,3.2,3.4] [rounds, 9] [rows, all] > bench/results/requests.md
//   node scripts/bench.mjs requests 3.2 9 3000 >> FILE          the rows only, for a table that is there already
//   node scripts/bench.mjs requests 3.2 instructions >> FILE    the table of instructions, with valgrind, on a busy machine too
//   `rows`: words with commas between them, and a row has each of them: a kind of route, a number of services, file or run-time.
//   Needs nginx and h2load (nghttp2-client). `scripts/debian-root` installs HAProxy 3.0 and later.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readVersion } from '../src/haproxy/check.ts';
import { ask } from '../test/support/ask.ts';
import { issuePem } from '../test/support/pem.ts';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { askAll, askAtRate, type Protocol } from './h2load.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { countInstructions, haproxyCommand } from './request-instructions.ts';
import {
  type Fleet,
  host,
  type RequestWay,
  type RouteKind,
  requested,
  startHandWritten,
  startPointsman,
} from './request-ways.ts';

const versions = (process.argv[2] ?? '2.6,3.0,3.2,3.4').split(',');
const counts = process.argv[3] === 'instructions';
const rounds = Number(counts ? 0 : (process.argv[3] ?? 9));
const words = process.argv[4]?.split(',') ?? [];
const requests = 4000;
const rate = { perSecond: 3200, seconds: 1 };

const roots = process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots';
const suites = new Map([
  ['3.0', 'trixie'],
  ['3.2', 'forky'],
  ['3.4', 'sid'],
]);

/** One comparison. Those that differ in the protocol only share their HAProxies. */
type Ground = {
  readonly kind: RouteKind;
  readonly services: number;
  readonly servers: 'file' | 'run-time';
  readonly protocols: readonly Protocol[];
};

const grounds: readonly Ground[] = [
  { kind: 'host', services: 2, servers: 'file', protocols: ['h1', 'h2', 'tls h1', 'tls h2'] },
  { kind: 'host', services: 2, servers: 'run-time', protocols: ['h1', 'h2'] },
  { kind: 'wildcard', services: 2, servers: 'file', protocols: ['h1'] },
  { kind: 'path', services: 2, servers: 'file', protocols: ['h1'] },
  { kind: 'host', services: 3000, servers: 'file', protocols: ['h1'] },
  { kind: 'wildcard', services: 3000, servers: 'file', protocols: ['h1'] },
  { kind: 'path', services: 3000, servers: 'file', protocols: ['h1'] },
];

const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
const certificates = join(dir, 'certificates');
await mkdir(certificates);
await issuePem(certificates, host);
const nginx = await startNginx();
try {
  await report();
} finally {
  await nginx.close();
  await rm(dir, { recursive: true, force: true });
}

async function report(): Promise<void> {
  if (counts) return await reportInstructions();
  if (words.length === 0) await introduce();
  for (const version of versions) {
    const haproxy = executableOf(version);
    const exact = await readVersion(haproxy);
    for (const ground of grounds.filter(isWanted)) await measureGround(haproxy, `${exact}`, ground);
  }
}

function isWanted({ kind, services, servers }: Ground): boolean {
  const own = [kind, `${services}`, servers];
  return words.every((word) => own.includes(word));
}

function rootOf(version: string): string | undefined {
  const suite = suites.get(version);
  if (suite === undefined) return undefined;
  if (!existsSync(join(roots, `${suite}.bin`, 'haproxy'))) throw new Error(`run scripts/debian-root ${suite} first`);
  return join(roots, suite);
}

function executableOf(version: string): string {
  const root = rootOf(version);
  return root === undefined ? 'haproxy' : join(`${root}.bin`, 'haproxy');
}

async function reportInstructions(): Promise<void> {
  console.log(
    '\nInstructions in user space for each request, which do not depend on the load of the machine: `valgrind --tool=callgrind`, one thread, one client, h1, 2 services, servers from the file.\n',
  );
  console.log(row('HAProxy', 'route', 'hand-written', 'pointsman', 'ratio'));
  console.log(row(...Array.from({ length: 5 }, () => '---')));
  const counted = grounds.filter((ground) => isWanted(ground) && ground.services === 2 && ground.servers === 'file');
  for (const version of versions) {
    const exact = await readVersion(executableOf(version));
    for (const ground of counted) {
      const [hand = 0, ours = 0] = await instructionsOf(version, ground);
      console.log(row(`${exact}`, ground.kind, hand, ours, (ours / hand).toFixed(3)));
    }
  }
}

async function instructionsOf(version: string, ground: Ground): Promise<readonly number[]> {
  const folder = await mkdtemp(join(dir, 'ground-'));
  const fleet: Fleet = { ...ground, servers: nginx.servers, certificates };
  const counted: number[] = [];
  for (const start of [startHandWritten, startPointsman] as const) {
    const way = await start(executableOf(version), folder, fleet, ground.servers);
    await way.close();
    counted.push(await countInstructions(haproxyCommand(rootOf(version)), folder, { ...way, kind: ground.kind }));
  }
  return counted;
}

async function introduce(): Promise<void> {
  console.log('# Requests\n');
  console.log(`${await describeMachine()}.\n`);
  console.log(
    `32 clients that keep their connections, HAProxy, and an nginx on two ports that answers "ok". Processor time is that of HAProxy's worker (\`/proc/PID/task/*/schedstat\`) for each request, the median of ${rounds} times ${requests} requests; the two configurations take turns, and the ratio is the median of their ratios. p50 and p99 are of ${rate.perSecond} requests a second. Clients and nginx share the machine's cores.

Both have the same backends, servers, checks, balance (roundrobin) and HAProxy's defaults for threads, buffers and reuse of connections, and neither writes an access log. The hand-written configuration looks the host up, in lower case, in a map (for prefixes: the host and the path), and adds X-Forwarded-For with \`option forwardfor\`. pointsman's is that of its default settings, with --http and --https. For each request it also removes what only a proxy may say (X-Forwarded-*, Forwarded, X-Real-IP, X-Request-Id, HTTP2-Settings) and what Connection names, sets X-Forwarded-Proto, refuses a Host that is none, brings paths into their normal form, looks for path prefixes and for wildcards within each kind of host, and sees that a service is paused or in maintenance, and that a reload replaced the worker.\n`,
  );
  console.log(
    row('HAProxy', 'route', 'services', 'servers', 'protocol', 'hand-written, µs', 'pointsman, µs', 'ratio', 'requests/s, both', 'p50, ms', 'p99, ms', 'reused'), // biome-ignore format: a table
  );
  console.log(row(...Array.from({ length: 12 }, () => '---')));
}

async function measureGround(haproxy: string, version: string, ground: Ground): Promise<void> {
  const folder = await mkdtemp(join(dir, 'ground-'));
  const fleet: Fleet = { ...ground, servers: nginx.servers, certificates };
  const ways: RequestWay[] = [];
  try {
    ways.push(await startHandWritten(haproxy, folder, fleet));
    ways.push(await startPointsman(haproxy, folder, fleet, ground.servers));
    for (const protocol of ground.protocols) {
      process.stderr.write(`${version} ${ground.kind} ${ground.services} ${ground.servers} ${protocol}\n`);
      const cells = await compare(ways, protocol, requested[ground.kind], folder);
      console.log(row(version, ground.kind, ground.services, ground.servers, protocol, ...cells));
    }
  } finally {
    await Promise.all(ways.map((way) => way.close()));
  }
}

async function compare(ways: readonly RequestWay[], protocol: Protocol, path: string, folder: string) {
  const measured = ways.map((way) => ({ way, us: [] as number[], perSecond: [] as number[] }));
  const target = ({ http, https }: RequestWay) => ({
    port: protocol.startsWith('tls') ? https : http,
    protocol,
    host,
    path,
  });
  for (const { way } of measured) await askAll(target(way), requests);
  for (let round = 0; round < rounds; round += 1) {
    for (const { way, us, perSecond } of round % 2 === 0 ? measured : [...measured].reverse()) {
      const before = await way.cpu();
      perSecond.push(await askAll(target(way), requests));
      us.push(((await way.cpu()) - before) / requests);
    }
  }
  const times: number[][] = [];
  const reused: number[] = [];
  for (const { way } of measured) {
    times.push(await askAtRate(target(way), rate.perSecond, rate.seconds, folder));
    reused.push(await way.reused());
  }
  const [hand = [], ours = []] = measured.map(({ us }) => us);
  const both = (values: readonly (number | string)[]) => values.join(', ');
  return [
    quantile(hand, 0.5).toFixed(1),
    quantile(ours, 0.5).toFixed(1),
    quantile(
      ours.map((us, i) => us / (hand[i] ?? Number.NaN)),
      0.5,
    ).toFixed(2),
    both(measured.map(({ perSecond }) => Math.round(quantile(perSecond, 0.5)))),
    both(times.map((of) => ms(quantile(of, 0.5)))),
    both(times.map((of) => ms(quantile(of, 0.99)))),
    both(reused.map((share) => `${(100 * share).toFixed(1)} %`)),
  ];
}

/** An nginx on two ports that answers every request with "ok". */
async function startNginx() {
  const [one = 0, two = 0] = await freePorts(2);
  const config = join(dir, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${dir}/${of};`);
  await writeFile(
    config,
    `daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    ${temporary.join('\n    ')}
    server { listen 127.0.0.1:${one}; listen 127.0.0.1:${two}; location / { return 200 "ok\\n"; } }
}
`,
  );
  // Debian keeps it in /usr/sbin, which is on root's PATH only.
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` };
  const child = spawn('nginx', ['-e', join(dir, 'error.log'), '-c', config], { env, stdio: 'ignore' });
  await until('nginx answers', async () => (await ask(two, 'any')).status === 200);
  return {
    servers: [`127.0.0.1:${one}`, `127.0.0.1:${two}`] as const,
    async close() {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}
