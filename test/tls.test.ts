import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { makeAuthority } from './support/certificates.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

/** An etcd that speaks TLS with those who show a certificate of its authority, and one authority that it does not know. */
async function start() {
  const dir = await mkdtemp(join(tmpdir(), 'pm-tls-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const [known, stranger] = await Promise.all([makeAuthority(join(dir, 'known')), makeAuthority(join(dir, 'other'))]);
  const server = await known.issue('server');
  const root = await known.issue('root');
  const ca = known.caFile;
  const scenario = await startScenario('etcd', {
    scheme: 'https',
    args: ['--client-cert-auth', '--trusted-ca-file', ca, '--cert-file', server.certFile, '--key-file', server.keyFile],
    ctlArgs: ['--cacert', ca, '--cert', root.certFile, '--key', root.keyFile],
  });
  const { etcd } = scenario;
  if (etcd === undefined) throw new Error('a scenario with etcd has one');
  return { dir, scenario, etcd, known, stranger, ca };
}

const flags = (ca: string, pair?: { readonly certFile: string; readonly keyFile: string }): string[] => [
  ...['--etcd-ca', ca],
  ...(pair === undefined ? [] : ['--etcd-cert', pair.certFile, '--etcd-key', pair.keyFile]),
];

/** The leases that etcd lists for a client with this certificate, or without one. */
async function leasesOf(endpoint: string, ca: string, pair?: { readonly certFile: string; readonly keyFile: string }) {
  const certificate =
    pair === undefined ? {} : { cert: await readFile(pair.certFile), key: await readFile(pair.keyFile) };
  const options = { method: 'POST', ca: await readFile(ca), ...certificate, agent: false, timeout: 10_000 };
  return new Promise<string>((resolve, reject) => {
    const asked = request(`https://${endpoint}/v3/lease/leases`, options, (answer) => {
      text(answer).then(resolve, reject);
    });
    asked.on('timeout', () => asked.destroy(new Error('etcd did not answer in time')));
    asked.on('error', reject).end('{}');
  });
}

test('balancer, register and operator work over TLS, each a user by its certificate', async () => {
  const { scenario, etcd, known, ca } = await start();
  const roles = ['register/web', 'balancer/b1', 'operator'];
  const { stdout } = await runPointsman(['roles', '--certificates', ...roles]);
  for (const line of stdout.filter((line) => line.startsWith('etcdctl '))) await etcd.ctl(...line.split(' ').slice(1));
  await etcd.ctl('user', 'add', 'root', '--no-password');
  await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcd.ctl('auth', 'enable');
  const register = flags(ca, await known.issue('pointsman-register-web'));
  const balance = flags(ca, await known.issue('pointsman-balancer-b1'));
  const operate = flags(ca, await known.issue('pointsman-operator'));
  const app = await startApp('a');
  onTestFinished(() => app.close());

  const balancer = scenario.balancer('--id', 'b1', ...balance);
  const registration = scenario.register('a', app.address, ...register);
  await registration.logged('announced');
  await scenario.serves('web', ['a'], 20_000);
  const drained = await runPointsman(['drain', 'web/a', '--registry', scenario.location, ...operate]);
  expect(drained).toMatchObject({ code: 0, stderr: ['warning: no instance of web is left: HAProxy answers its requests with 503'] }); // biome-ignore format: a line
  await until('a drains', async () => (await scenario.ask('web')).status === 503);
  // Without a certificate nobody even sees the leases, which etcd would show to a client that is no user.
  // (To its JSON gateway etcd answers that it takes no user from a certificate there; so the connection was let in.)
  const reader = await known.issue('pointsman-reader');
  await expect(leasesOf(etcd.endpoints[0] ?? '', ca, reader)).resolves.toContain('CommonName');
  await expect(leasesOf(etcd.endpoints[0] ?? '', ca)).rejects.toThrow(/certificate/);
  // The certificate says who it is: the register's is of no use to an operator.
  const refused = await runPointsman(['undrain', 'web/a', '--registry', scenario.location, ...register]);
  expect(refused).toMatchObject({ code: 1, stderr: [expect.stringContaining('permission denied')] });
  registration.kill('SIGTERM');
  expect((await registration.ended).code).toBe(0);
  // The log is JSON and nothing else: no library writes about TLS.
  for (const { stderr } of [balancer, registration]) expect(stderr.filter((line) => !line.startsWith('{'))).toEqual([]);
});

describe('trust that is not there', () => {
  test('is told with what to mend', async () => {
    const { scenario, known, stranger, ca } = await start();
    const ours = await known.issue('ours');
    const theirs = await stranger.issue('ours');
    const old = await known.issue('old', 0);
    const cases: readonly (readonly [string, string, readonly string[]])[] = [
      [
        'a foreign CA',
        "etcd's certificate is not signed by a trusted CA (check --etcd-ca)",
        flags(stranger.caFile, ours),
      ],
      [
        'a foreign client certificate',
        'etcd does not accept the client certificate (check --etcd-cert and --etcd-key)',
        flags(ca, theirs),
      ],
      [
        'no client certificate',
        'etcd does not accept the client certificate (check --etcd-cert and --etcd-key)',
        flags(ca),
      ],
      // etcd 3.5 says that it has expired.
      ['an old client certificate', 'the client certificate', flags(ca, old)],
      [
        'a key of another',
        'the client certificate and its key do not match',
        flags(ca, { ...ours, keyFile: theirs.keyFile }),
      ],
      ['a missing file', '/nowhere: it cannot be read', flags('/nowhere', ours)],
    ];
    for (const [what, message, args] of cases) {
      const { code, stdout, stderr } = await runPointsman(['overrides', '--registry', scenario.location, ...args]);
      expect({ what, code, stdout, stderr }).toEqual({ what, code: 1, stdout: [], stderr: [expect.stringContaining(message)] }); // biome-ignore format: a line
    }
    const elsewhere = scenario.location.replace('127.0.0.1', 'localhost');
    const { stderr } = await runPointsman(['overrides', '--registry', elsewhere, ...flags(ca, ours)]);
    expect(stderr).toEqual([expect.stringContaining("etcd's certificate is for another address")]);
    const plain = await runPointsman(['overrides', '--registry', scenario.location.replace('etcds:', 'etcd:')]);
    // On a busy machine a line before it says what the command waits for.
    expect(plain.stderr.at(-1)).toContain('write --registry etcds://…');
  });

  test('keeps a balancer and a register waiting, until the file is right', async () => {
    const { dir, scenario, known, stranger, ca } = await start();
    const ours = await known.issue('ours');
    const app = await startApp('a');
    onTestFinished(() => app.close());
    const caFile = join(dir, 'ca.pem');
    await copyFile(stranger.caFile, caFile);
    const balancer = scenario.balancer(...flags(caFile, ours));
    const registration = scenario.register('a', app.address, ...flags(caFile, ours));
    for (const running of [balancer, registration]) {
      const { reason } = await running.logged('registry-disconnected');
      expect(reason).toBe("etcd's certificate is not signed by a trusted CA (check --etcd-ca)");
    }
    expect(await scenario.askAdmin('/readyz')).toMatchObject({ status: 503 });
    await copyFile(ca, caFile);
    await registration.logged('announced');
    await scenario.serves('web', ['a'], 20_000);
  });
});
