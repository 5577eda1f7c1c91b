import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readProcesses } from '../src/haproxy/master.ts';
import { startApp } from './support/app.ts';
import { makeAuthority } from './support/certificates.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

/** All files under a folder, by path. */
async function filesOf(folder: string): Promise<[string, string][]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = found.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name));
  return Promise.all(paths.map(async (path) => [path, await readFile(path, 'utf8')] as [string, string]));
}

const procFile = (pid: number, name: string) => readFile(`/proc/${pid}/${name}`, 'utf8');

test('a password and a key are seen nowhere: not in logs, status, metrics, files, etcd or the process list', async () => {
  const keys = await mkdtemp(join(tmpdir(), 'pm-tls-'));
  onTestFinished(() => rm(keys, { recursive: true, force: true }));
  const authority = await makeAuthority(keys);
  const server = await authority.issue('server');
  const client = await authority.issue('client');
  const tls = ['--cacert', authority.caFile, '--cert', client.certFile, '--key', client.keyFile];
  const scenario = await startScenario('etcd', {
    scheme: 'https',
    args: ['--client-cert-auth', '--trusted-ca-file', authority.caFile, '--cert-file', server.certFile, '--key-file', server.keyFile], // biome-ignore format: a line
    ctlArgs: tls,
  });
  const { etcd } = scenario;
  if (etcd === undefined) throw new Error('a scenario with etcd has one');

  // Letters that are written otherwise in URLs and JSON, so that each spelling is another needle.
  const password = `${randomBytes(12).toString('hex')}+/"é`;
  const keyText = await readFile(client.keyFile, 'utf8');
  const keyLines = keyText.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
  const needles = [
    ...[password, password.slice(0, 20), encodeURIComponent(password), Buffer.from(password).toString('base64')],
    ...[Buffer.from(password).toString('hex'), 'PRIVATE KEY', ...keyLines],
  ];
  const leaks = (outputs: Iterable<readonly [string, string]>): string[] =>
    [...outputs].filter(([, text]) => needles.some((needle) => text.includes(needle))).map(([name]) => name);
  const passwordFile = join(keys, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  // The search finds what is there.
  expect(leaks(await filesOf(keys))).toEqual(expect.arrayContaining([passwordFile, client.keyFile]));

  await etcd.ctl('user', 'add', `root:${password}`);
  await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcd.ctl('auth', 'enable');
  const login = [
    ...['--etcd-user', 'root', '--etcd-ca', authority.caFile, '--etcd-cert', client.certFile],
    ...['--etcd-key', client.keyFile, '--log-level', 'trace'],
  ];
  const app = await startApp('a');
  onTestFinished(() => app.close());
  const env = { POINTSMAN_ETCD_PASSWORD: password };
  const balancer = scenario.balancerWith({ env }, ...login);
  const registration = startPointsman(
    [
      ...['register', '--registry', scenario.location, '--service', 'web', '--id', 'a', '--address', app.address],
      ...['--ttl', '30s', '--etcd-password-file', passwordFile, ...login, '--', 'sleep', '600'],
    ],
    { env },
  );
  await registration.logged('announced');
  await scenario.serves('web', ['a'], 20_000);
  const operate = [...login, '--registry', scenario.location];
  const runs = [
    await runPointsman(['drain', 'web/a', ...operate, '--json'], { env }),
    await runPointsman(['overrides', ...operate, '--etcd-password-file', passwordFile]),
    await runPointsman(['clear', 'web/a', ...operate], { env }),
    // Each failure is logged, without the password.
    await runPointsman(['overrides', ...operate], { env: { POINTSMAN_ETCD_PASSWORD: `${password}!` } }),
    await runPointsman(['overrides', '--registry', `etcds://root:${password}@127.0.0.1:1`]),
    await runPointsman(['overrides', ...operate, '--etcd-password', password]),
  ];
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 1, 2, 2]);
  // Connections that break and come back log most.
  await etcd.members[0]?.stop();
  await balancer.logged('registry-disconnected');
  etcd.members[0]?.start();
  await until('it is followed again', () => balancer.log.filter(({ event }) => event === 'registry-connected').length > 1, { deadlineMs: 30_000 }); // biome-ignore format: a line

  const haproxy = await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 2000);
  const pids = [balancer.pid, registration.pid, haproxy?.masterPid ?? 0, haproxy?.workerPid ?? 0];
  const command = Number(await procFile(registration.pid, `task/${registration.pid}/children`));
  const outputs: (readonly [string, string])[] = [
    ['log of balance', balancer.output.join('\n')],
    ['log of register', registration.output.join('\n')],
    ...runs.map((run, i): [string, string] => [`run ${i}`, JSON.stringify(run)]),
    ...runs.map((run, i): [string, string] => [`run ${i}`, [...run.stdout, ...run.stderr].join('\n')]),
  ];
  for (const path of ['/status', '/metrics', '/', '/healthz', '/readyz']) {
    outputs.push([path, (await scenario.askAdmin(path)).body]);
  }
  for (const pid of [...pids, command]) outputs.push([`process list, ${pid}`, await procFile(pid, 'cmdline')]);
  for (const pid of [haproxy?.masterPid ?? 0, haproxy?.workerPid ?? 0, command]) {
    outputs.push([`environment of ${pid}`, await procFile(pid, 'environ')]);
  }
  expect(outputs.every(([, text]) => text.length > 0)).toBe(true);
  outputs.push(...(await filesOf(scenario.dir)));
  outputs.push(['etcd', await etcd.ctl('--user', `root:${password}`, 'get', '--prefix', '')]);
  expect(leaks(outputs)).toEqual([]);
});
