// What authentication adds to a request: processor time of HAProxy's worker and instructions, for a service without, with basic
// authentication, with JWT, and with a question to another service, next to each other in one HAProxy.
//
//   node scripts/bench.mjs authentication [versions, 2.6,3.0,3.2,3.4] [rounds, 9] > bench/results/authentication.md
//   Needs h2load (nghttp2-client) and valgrind. `scripts/debian-root` installs HAProxy 3.0 and later.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { readVersion } from '../src/haproxy/check.ts';
import { readProcesses } from '../src/haproxy/master.ts';
import { formatUser, storePassword } from '../src/model/secret/users.ts';
import { exchange } from '../test/support/ask.ts';
import { freePorts } from '../test/support/ports.ts';
import { makeSigner } from '../test/support/tokens.ts';
import { until } from '../test/support/until.ts';
import { instructionsOf } from './callgrind.ts';
import { describeMachine } from './machine.ts';
import { quantile, row } from './quantiles.ts';
import { haproxyCommand } from './request-instructions.ts';

const versions = (process.argv[2] ?? '2.6,3.0,3.2,3.4').split(',');
const rounds = Number(process.argv[3] ?? 9);
const timedRequests = 4000;
const roots = process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots';
const suites = new Map([
  ['3.0', 'trixie'],
  ['3.2', 'forky'],
  ['3.4', 'sid'],
]);

const signer = makeSigner('RS256', 'one');
const claims = {
  sub: 'ada',
  iss: 'https://login.example.com',
  aud: 'shop',
  exp: Math.floor(Date.now() / 1000) + 86_400,
};
const password = 'a-password-of-20-chars';
/** The services, each with what its clients send. Clients of `without` send the token of `jwt`, which nobody reads. */
const services = [
  { name: 'without', auth: undefined, header: undefined },
  { name: 'basic', auth: { basic: { users: 'users' } }, header: `Basic ${btoa(`ada:${password}`)}` },
  {
    name: 'jwt',
    auth: {
      jwt: {
        ...{ algorithm: 'RS256', keys: 'keys', issuer: claims.iss, audience: claims.aud },
        headers: { 'X-Forwarded-User': 'sub' },
      },
    },
    header: `Bearer ${signer.token(claims)}`,
  },
  { name: 'forward', auth: { forward: { service: 'without' } }, header: undefined },
  { name: 'forward-cached', auth: { forward: { service: 'without', cache: '10s' } }, header: undefined },
] as const;

const about = `32 clients that keep their connections, one HAProxy with five services. µs: processor time of HAProxy's worker for each request, the
median of ${rounds} times ${timedRequests} requests in turns; the ratio is the median of the ratios to the service without authentication. Instructions: in user
space, by callgrind, one client, one thread. JWT is RS256 with issuer, audience and a claim as a header; its token is remembered. Forward asks
another service of the same HAProxy before each request; cached: once in 10 s.`;
const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
const server = createServer((_, response) => response.end('ok'));
await new Promise<void>((started) => server.listen(0, '127.0.0.1', started));
const address = server.address();
const app = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
try {
  console.log('# Authentication\n');
  console.log(`${await describeMachine()}.\n`);
  console.log(`${about}\n`);
  console.log(row('HAProxy', 'authentication', 'µs', 'ratio', 'instructions', 'ratio'));
  console.log(row(...Array.from({ length: 6 }, () => '---')));
  for (const version of versions) await measure(version);
} finally {
  server.close();
  await rm(dir, { recursive: true, force: true });
}

async function measure(version: string): Promise<void> {
  const suite = suites.get(version);
  const root = suite === undefined ? undefined : join(roots, suite);
  const haproxy = root === undefined ? 'haproxy' : join(`${root}.bin`, 'haproxy');
  const folder = join(dir, version);
  await prepare(folder);
  const [http = 0, admin = 0] = await freePorts(2);
  const child = spawn(
    resolve('bin', 'pointsman'),
    ['balance', '--registry', `dir:${folder}/registry`, '--dir', join(folder, 'b'), '--id', 'bench', '--haproxy', haproxy,
      '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--secrets', join(folder, 'secrets')], // biome-ignore format: a command line
    { stdio: 'ignore' },
  );
  const gone = new Promise((ended) => child.once('close', ended));
  const times: readonly number[][] = services.map(() => []);
  try {
    await untilServed(http);
    const master = join(folder, 'b/run/master.sock');
    const pid = await until('the master answers', async () => (await readProcesses(master, 5000))?.workerPid);
    for (let round = 0; round < rounds; round += 1) {
      for (const [i, { name, header }] of services.entries()) {
        const before = await cpuOf(pid);
        await load(http, name, header, timedRequests, 32);
        times[i]?.push((await cpuOf(pid)) - before);
      }
    }
  } finally {
    child.kill('SIGTERM');
    await gone;
  }
  const counted = await count(haproxyCommand(root), folder, http);
  const exact = await readVersion(haproxy);
  const ratioOf = (own: readonly number[] = [], other: readonly number[] = []) =>
    quantile(
      own.map((one, i) => one / (other[i] ?? 1)),
      0.5,
    ).toFixed(2);
  for (const [i, { name }] of services.entries()) {
    const us = (quantile(times[i] ?? [], 0.5) / timedRequests).toFixed(1);
    const instructions = counted[i] ?? 0;
    console.log(
      row(
        `${exact}`,
        name,
        us,
        ratioOf(times[i], times[0]),
        instructions,
        (instructions / (counted[0] ?? 1)).toFixed(2),
      ),
    );
  }
}

async function prepare(folder: string): Promise<void> {
  for (const { name, auth } of services) {
    await mkdir(join(folder, 'registry/instances', name), { recursive: true });
    await mkdir(join(folder, 'registry/services'), { recursive: true });
    await writeFile(join(folder, 'registry/instances', name, 'a'), app);
    await writeFile(join(folder, 'registry/services', name), JSON.stringify({ auth, check: { kind: 'none' } }));
  }
  await mkdir(join(folder, 'secrets'));
  await writeFile(join(folder, 'secrets/users'), formatUser('ada', storePassword(password, 'saltsalt')));
  await writeFile(join(folder, 'secrets/keys'), JSON.stringify({ keys: [signer.jwk] }));
}

async function untilServed(port: number): Promise<void> {
  for (const { name, header } of services) {
    const headers = header === undefined ? {} : { authorization: header };
    await until(
      `${name} answers`,
      async () => {
        const answer = await exchange(port, { host: name, headers }).catch(() => undefined);
        return answer?.status === 200;
      },
      { deadlineMs: 120_000 },
    );
  }
}

/** So many requests by clients that keep their connections. */
async function load(port: number, service: string, header: string | undefined, requests: number, clients: number) {
  const sent = ['-H', `authorization: ${header ?? services[2].header}`];
  const to = ['--connect-to', `127.0.0.1:${port}`, `http://${service}/`];
  const { stdout } = await execa('h2load', ['--h1', '-c', `${clients}`, '-n', `${requests}`, ...sent, ...to]);
  const good = Number(/(\d+) 2xx/.exec(stdout)?.[1]);
  if (good !== requests) throw new Error(`${good} of ${requests} requests were answered with 2xx:\n${stdout}`);
}

/** Processor time that a process has taken, in µs. */
async function cpuOf(pid: number | undefined): Promise<number> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const spent = tasks.map(async (task) => (await readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8')).split(' '));
  return (await Promise.all(spent)).reduce((sum, [ns]) => sum + Number(ns), 0) / 1000;
}

/** Instructions in user space for each request of one client, by service. */
async function count(command: readonly string[], folder: string, port: number): Promise<readonly number[]> {
  const counted: number[] = [];
  for (const { name, header } of services) {
    const dir = await mkdtemp(join(folder, `callgrind-${name}-`));
    const client = {
      ready: () => untilServed(port),
      ask: (requests: number) => load(port, name, header, requests, 1),
    };
    counted.push(await instructionsOf(command, join(folder, 'b/haproxy.cfg'), dir, client));
  }
  return counted;
}
