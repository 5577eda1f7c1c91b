import { mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeAuthority } from './support/certificates.ts';
import { startEtcd } from './support/etcd.ts';
import { type PointsmanProcess, startPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

const key = '/pointsman/instances/web/a';
const app = ['--', process.execPath, '-e', 'setInterval(() => {}, 1000); console.log("up")'];

/** An etcd with the user that `pointsman roles` would make, and `register` with a password file. */
async function start() {
  const etcd = await startEtcd();
  onTestFinished(() => etcd.close());
  const dir = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'password');
  const setPassword = async (text: string) => {
    await writeFile(`${file}.new`, text, { mode: 0o600 });
    await rename(`${file}.new`, file);
  };
  await setPassword('lovelace');
  await etcd.ctl('user', 'add', 'root:secret');
  await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcd.ctl('role', 'add', 'web');
  const addUser = async (ctl: (...args: readonly string[]) => Promise<unknown>) => {
    await ctl('user', 'add', 'ada:lovelace');
    await ctl('user', 'grant-role', 'ada', 'web');
  };
  await etcd.ctl('role', 'grant-permission', 'web', '--prefix=true', 'readwrite', '/pointsman/');
  await addUser(etcd.ctl);
  await etcd.ctl('auth', 'enable');
  const asRoot = (...args: readonly string[]) => etcd.ctl('--user', 'root:secret', ...args);
  const register = (...more: readonly string[]): PointsmanProcess =>
    startPointsman([
      ...['register', '--registry', etcd.location, '--etcd-user', 'ada', '--etcd-password-file', file],
      ...['--service', 'web', '--id', 'a', '--address', '127.0.0.1:1', '--check', 'none', '--ttl', '3s', ...more],
    ]);
  const stands = async () => (await asRoot('get', '--keys-only', key)).includes(key);
  return { etcd, asRoot, addUser, file, setPassword, register, stands };
}

const trouble = (registration: PointsmanProcess, reason: RegExp) =>
  registration.logged('refused', (line) => line.level === 'error' && reason.test(String(line['reason'])));

describe.each([
  ['an application that it runs', app],
  ['nothing', []],
] as const)('register with %s', (_, command) => {
  test('goes on with a wrong password, says so, and is announced when the password is right', async () => {
    const { setPassword, register, stands } = await start();
    await setPassword('wrong');
    const registration = register(...command);
    await trouble(registration, /authentication failed/);
    expect(registration.running).toBe(true);
    expect(await stands()).toBe(false);
    await setPassword('lovelace');
    await registration.logged('announced');
    expect(await stands()).toBe(true);
    expect(registration.log.filter(({ event }) => event === 'refused')).toHaveLength(1);
    registration.kill('SIGTERM');
    await registration.ended;
    expect(await stands()).toBe(false);
  });

  test('goes on without a permission, and is announced when it is given', async () => {
    const { asRoot, register } = await start();
    await asRoot('role', 'revoke-permission', 'web', '--prefix=true', '/pointsman/');
    const registration = register(...command);
    await trouble(registration, /permission denied/);
    await asRoot('role', 'grant-permission', 'web', '--prefix=true', 'readwrite', '/pointsman/');
    await registration.logged('announced');
  });
});

test('an application outlives whatever becomes of its user, and is registered again', {
  timeout: 180_000,
}, async () => {
  const { etcd, asRoot, addUser, file, setPassword, register, stands } = await start();
  const [member] = etcd.members;
  const registration = register(...app);
  await registration.printed('up');
  await registration.logged('announced');
  const back = async () => {
    await until('it is registered', stands);
    expect(registration.running).toBe(true);
  };
  const losesItsLease = async () => {
    const [lease] = /[0-9a-f]{16}/.exec(await asRoot('lease', 'list')) ?? [];
    if (lease !== undefined) await asRoot('lease', 'revoke', lease);
    await until('it is out', async () => !(await stands()));
  };

  await asRoot('role', 'revoke-permission', 'web', '--prefix=true', '/pointsman/');
  await losesItsLease();
  await asRoot('role', 'grant-permission', 'web', '--prefix=true', 'readwrite', '/pointsman/');
  await back();

  await asRoot('user', 'delete', 'ada');
  await losesItsLease();
  await addUser(asRoot);
  await back();

  // etcd forgets its tokens, so that the next login reads the file.
  await unlink(file);
  await member?.stop();
  member?.start();
  await until('etcd is back', () => asRoot('endpoint', 'health').catch(() => undefined));
  await until('it is out', async () => !(await stands()));
  await setPassword('lovelace');
  await back();
  registration.kill('SIGTERM');
  await registration.ended;
});

test('an application outlives an untrusted certificate, and is announced when it is trusted', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const [ours, other] = [await makeAuthority(join(dir, 'ours')), await makeAuthority(join(dir, 'other'))];
  const server = await ours.issue('server');
  const etcd = await startEtcd(1, {
    scheme: 'https',
    args: ['--cert-file', server.certFile, '--key-file', server.keyFile],
    ctlArgs: ['--cacert', ours.caFile],
  });
  onTestFinished(() => etcd.close());
  const ca = join(dir, 'ca.pem');
  await rename(other.caFile, ca);
  const registration = startPointsman([
    ...['register', '--registry', `etcds://${etcd.endpoints[0]}`, '--etcd-ca', ca],
    ...['--service', 'web', '--id', 'a', '--address', '127.0.0.1:1', '--check', 'none', ...app],
  ]);
  const lost = await registration.logged('registry-disconnected', ({ reason }) =>
    /not signed by a trusted CA/.test(String(reason)),
  );
  // An etcd that answers and refuses is not reported as silent.
  expect(lost.msg).toBe('the registry accepts no registrations; pointsman keeps trying');
  expect(registration.running).toBe(true);
  await rename(ours.caFile, ca);
  await registration.logged('announced');
});
