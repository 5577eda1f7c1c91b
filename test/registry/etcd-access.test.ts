import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { makeAuthority } from '../support/certificates.ts';
import { startEtcd } from '../support/etcd.ts';
import { Recorder } from './recorder.ts';

function closing(registry: Registry): Registry {
  onTestFinished(() => registry.close());
  return registry;
}

describe('an etcd with users', () => {
  const start = async () => {
    const etcd = await startEtcd();
    onTestFinished(() => etcd.close());
    await etcd.ctl('user', 'add', 'root:secret');
    await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
    await etcd.ctl('role', 'add', 'pointsman');
    await etcd.ctl('role', 'grant-permission', 'pointsman', '--prefix=true', 'readwrite', '/pointsman/');
    await etcd.ctl('user', 'add', 'ada:lovelace');
    await etcd.ctl('user', 'grant-role', 'ada', 'pointsman');
    await etcd.ctl('auth', 'enable');
    const open = (password: string, root = '/pointsman/') =>
      closing(
        openEtcdRegistry({
          endpoints: etcd.endpoints,
          root,
          credentials: { username: 'ada', readPassword: async () => password },
        }),
      );
    return { etcd, open };
  };

  test('serves a user with the right password and role', async () => {
    const { open } = await start();
    const registry = open('lovelace');
    const recorder = new Recorder(registry);
    await recorder.started();
    const session = registry.openSession({ ttlMs: 30_000, mayReplace: () => false, onEvent: () => undefined });
    await session.put('instances/web/a', '10.0.0.1:80');
    await recorder.sees('instances/web/a', '10.0.0.1:80');
    await session.close();
    await recorder.sees('instances/web/a', undefined);
  });

  test('refuses a wrong password and a foreign root, and says so at once', async () => {
    const { open } = await start();
    await expect(open('babbage').read('')).rejects.toMatchObject({ code: 'registry-denied' });
    await expect(open('lovelace', '/other/').write('a', 'b')).rejects.toMatchObject({ code: 'registry-denied' });
    const lost = await new Promise((resolve) => {
      open('lovelace', '/other/').follow((event) => event.kind === 'disconnected' && resolve(event));
    });
    expect(lost).toMatchObject({ reason: expect.stringContaining('permission denied'), denied: true });
  });

  test('is followed on when a restart has made all tokens invalid', async () => {
    const { etcd, open } = await start();
    const recorder = new Recorder(open('lovelace'));
    await recorder.started();
    await etcd.members[0]?.stop();
    etcd.members[0]?.start();
    await open('lovelace').write('keys/a', '1', { signal: AbortSignal.timeout(20_000) });
    await recorder.sees('keys/a', '1', 20_000);
  });
});

test('with TLS, certificates are read again at each connect', { timeout: 60_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-tls-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const [caFile, certFile, keyFile] = ['ca', 'cert', 'key'].map((name) => join(dir, `${name}.pem`)) as [
    string,
    string,
    string,
  ];
  const install = async (name: string) => {
    const authority = await makeAuthority(join(dir, name));
    const issued = await authority.issue('both');
    await Promise.all([
      copyFile(authority.caFile, caFile),
      copyFile(issued.certFile, certFile),
      copyFile(issued.keyFile, keyFile),
    ]);
  };
  await install('first');
  const etcd = await startEtcd(1, {
    scheme: 'https',
    args: ['--client-cert-auth', '--trusted-ca-file', caFile, '--cert-file', certFile, '--key-file', keyFile],
    ctlArgs: ['--cacert', caFile, '--cert', certFile, '--key', keyFile],
  });
  onTestFinished(() => etcd.close());
  const tls = { caFile, certFile, keyFile };
  const registry = closing(openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/', tls }));
  const recorder = new Recorder(registry);
  await recorder.started();
  await registry.write('keys/a', '1');
  await recorder.sees('keys/a', '1');

  // Another authority, in the same files: what was read at the start is of no use any more.
  await install('second');
  await etcd.members[0]?.stop();
  etcd.members[0]?.start();
  await registry.write('keys/a', '2', { signal: AbortSignal.timeout(20_000) });
  await recorder.sees('keys/a', '2', 20_000);

  const stranger = closing(openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/', tls: { caFile } }));
  await expect(stranger.read('', AbortSignal.timeout(3000))).rejects.toMatchObject({ code: 'registry-untrusted' });
});

test('an etcd without users takes a login, and users that are introduced later', async () => {
  const etcd = await startEtcd();
  onTestFinished(() => etcd.close());
  const credentials = { username: 'root', readPassword: async () => 'secret' };
  const registry = closing(openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/', credentials }));
  await registry.write('services/web', '{}');
  await etcd.ctl('user', 'add', 'root:secret');
  await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
  await etcd.ctl('auth', 'enable');
  await registry.write('services/api', '{}');
  const recorder = new Recorder(registry);
  onTestFinished(() => recorder.close());
  await recorder.started();
  await recorder.sees('services/web', '{}');
  await recorder.sees('services/api', '{}');
});
