import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry, SessionEvent } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { makeAuthority } from '../support/certificates.ts';
import { startEtcd } from '../support/etcd.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const root = '/pointsman/';

function closing(registry: Registry): Registry {
  onTestFinished(() => registry.close());
  return registry;
}

/** A user for the follower whose connections can be cut, and root's own way around the proxy. */
async function startWithUsers(tokenSeconds: number) {
  const etcd = await startEtcd(1, { args: ['--auth-token-ttl', String(tokenSeconds)] });
  onTestFinished(() => etcd.close());
  const proxy = await startTcpProxy(etcd.members[0]?.clientPort ?? 0);
  onTestFinished(() => proxy.close());
  await etcd.ctl('user', 'add', 'root:secret');
  await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcd.ctl('role', 'add', 'pointsman');
  await etcd.ctl('role', 'grant-permission', 'pointsman', '--prefix=true', 'readwrite', root);
  await etcd.ctl('user', 'add', 'ada:lovelace');
  await etcd.ctl('user', 'grant-role', 'ada', 'pointsman');
  await etcd.ctl('auth', 'enable');
  const asAda = { username: 'ada', readPassword: async () => 'lovelace' };
  const asRoot = { username: 'root', readPassword: async () => 'secret' };
  const registry = closing(openEtcdRegistry({ endpoints: [proxy.endpoint], root, credentials: asAda }));
  const writer = closing(openEtcdRegistry({ endpoints: etcd.endpoints, root, credentials: asRoot }));
  const asAdmin = (...args: readonly string[]) => etcd.ctl('--user', 'root:secret', ...args);
  return { etcd, proxy, registry, writer, asAdmin };
}

const write = async (writer: Registry, count: number): Promise<bigint> => {
  let last = 0n;
  for (let i = 0; i < count; i += 1) last = await writer.write(`instances/web/i-${i % 20}`, `value ${i}`);
  return last;
};

/** A follower whose story is told when the test fails. */
const follow = async (registry: Registry): Promise<Recorder> => {
  const recorder = new Recorder(registry);
  onTestFailed(() => {
    process.stderr.write(`--- the follower heard\n${recorder.story()}\n`);
  });
  await until('it watches', () => recorder.events.some(({ kind }) => kind === 'connected'));
  return recorder;
};

const agrees = async (recorder: Recorder, writer: Registry, last: bigint): Promise<void> => {
  await until(`it has revision ${last}`, () => recorder.revision >= last, { deadlineMs: 30_000 });
  const { entries } = await writer.read('');
  expect(recorder.values()).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value]).sort()));
  expect(recorder.violations).toEqual([]);
};

test('a token that is too old when the connection is cut loses nothing', { timeout: 90_000 }, async () => {
  const { etcd, proxy, registry, writer } = await startWithUsers(1);
  const events: SessionEvent[] = [];
  const session = registry.openSession({
    ttlMs: 30_000,
    mayReplace: () => false,
    onEvent: (event) => events.push(event),
  });
  await session.put('keys/held', 'ours');
  const recorder = await follow(registry);

  // A token like that of the follower: etcd prolongs one only when it is used, so it is tried seldom.
  const call = async (path: string, body: object, token = ''): Promise<Record<string, unknown>> => {
    const headers = { Authorization: token };
    const answer = await fetch(`http://${etcd.endpoints[0]}/v3/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }); // biome-ignore format: a call
    return (await answer.json()) as Record<string, unknown>;
  };
  const { token } = await call('auth/authenticate', { name: 'ada', password: 'lovelace' });
  const key = Buffer.from(`${root}x`).toString('base64');
  await until(
    'its token is too old',
    async () => /invalid auth token/.test(JSON.stringify(await call('kv/range', { key }, String(token)))),
    { deadlineMs: 30_000, everyMs: 3000 },
  );
  proxy.refuse(true);
  const last = await write(writer, 100);
  proxy.refuse(false);
  await agrees(recorder, writer, last);
  expect(recorder.changes.length).toBeGreaterThanOrEqual(100);
  expect(recorder.events.filter(({ kind }) => kind === 'snapshot')).toHaveLength(1);
  // The client that reads and writes had an old token, too.
  expect(await registry.write('keys/after', 'written')).toBeGreaterThan(last);
  expect(await session.put('keys/more', 'ours')).toBeGreaterThan(last);
  expect(events.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
});

test('a permission that is taken away is told, costs nothing that was known, and heals', {
  timeout: 90_000,
}, async () => {
  const { proxy, registry, writer, asAdmin } = await startWithUsers(300);
  const before = await write(writer, 20);
  const recorder = await follow(registry);
  await recorder.reached(before);
  await asAdmin('role', 'revoke-permission', 'pointsman', '--prefix=true', root);
  proxy.cut();
  await until('it is told', () =>
    recorder.events.some((event) => event.kind === 'disconnected' && /permission denied/.test(event.reason)),
  );
  const last = await write(writer, 100);
  expect(recorder.view.size).toBe(20);
  await expect(registry.read('')).rejects.toMatchObject({ code: 'registry-denied' });
  await asAdmin('role', 'grant-permission', 'pointsman', '--prefix=true', 'readwrite', root);
  await agrees(recorder, writer, last);
  expect(recorder.changes.length).toBeGreaterThanOrEqual(100);
});

test('a certificate that has run out when the connection is cut is read again once it is renewed', {
  timeout: 90_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-tls-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const authority = await makeAuthority(join(dir, 'authority'));
  const [server, good, old] = [
    await authority.issue('server'),
    await authority.issue('good'),
    await authority.issue('old', 0),
  ];
  const { caFile } = authority;
  const etcd = await startEtcd(1, {
    scheme: 'https',
    args: ['--client-cert-auth', '--trusted-ca-file', caFile, '--cert-file', server.certFile, '--key-file', server.keyFile], // biome-ignore format: a command line
    ctlArgs: ['--cacert', caFile, '--cert', good.certFile, '--key', good.keyFile],
  });
  onTestFinished(() => etcd.close());
  const proxy = await startTcpProxy(etcd.members[0]?.clientPort ?? 0);
  onTestFinished(() => proxy.close());
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const install = async (issued: typeof good) => {
    await copyFile(issued.certFile, certFile);
    await copyFile(issued.keyFile, keyFile);
  };
  await install(good);
  const registry = closing(openEtcdRegistry({ endpoints: [proxy.endpoint], root, tls: { caFile, certFile, keyFile } }));
  const writer = closing(openEtcdRegistry({ endpoints: etcd.endpoints, root, tls: { caFile, ...good } }));
  const recorder = await follow(registry);

  await install(old);
  proxy.cut();
  await until('it cannot come back', () => recorder.events.filter(({ kind }) => kind === 'disconnected').length >= 3, {
    deadlineMs: 30_000,
  });
  const last = await write(writer, 100);
  expect(recorder.revision).toBeLessThan(last);
  await install(good);
  await agrees(recorder, writer, last);
  expect(recorder.changes.length).toBe(100);
});
