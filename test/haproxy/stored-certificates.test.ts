import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certificateKey } from '../../src/model/acme/keys.ts';
import { parseSealingKeys, seal } from '../../src/model/acme/sealing.ts';
import { formatStoredCertificate } from '../../src/model/acme/stored-certificate.ts';
import { makeAuthority } from '../support/certificates.ts';
import { endHaproxy } from '../support/scenario.ts';
import { host, startStored } from '../support/stored-certificates.ts';
import { until } from '../support/until.ts';

test('a certificate of the registry is served, replaced and removed without a reload', async () => {
  const stored = await startStored('folder');
  const balancer = stored.start();
  await balancer.logged('serving');
  expect(await stored.served()).toBeUndefined();
  expect((await stored.ask(host)).status).toBe(200);

  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const first = await until('it is served', () => stored.served());
  await until('HTTP is redirected', async () => (await stored.ask(host)).status === 308);

  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const second = await until('another one is served', async () => {
    const now = await stored.served();
    return now === first ? undefined : now;
  });
  await stored.writeByHand(certificateKey('*.example.org'), await stored.valueOf('*.example.org'));
  await until('the wildcard is served', () => stored.served('any.example.org'));
  const { certificates } = JSON.parse((await stored.askAdmin('/status')).body) as { certificates: unknown[] };
  expect(certificates).toMatchObject([
    { name: host, source: 'registry' },
    { name: '*.example.org', source: 'registry' },
  ]);

  // An entry that cannot be used leaves the one before, and the acknowledgement says why.
  await stored.writeByHand(certificateKey(host), '{"certificate":"rubbish"}');
  await until('it is refused', () => stored.refusal(certificateKey(host)));
  expect(await stored.served()).toBe(second);

  await stored.removeByHand(certificateKey(host));
  await until('it is not served any more', async () => (await stored.served()) === undefined);
  await until('HTTP is served again', async () => (await stored.ask(host)).status === 200);
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
  expect(balancer.output.join('\n')).not.toContain('PRIVATE KEY');
});

test('two hundred certificates are served without a reload', async () => {
  const stored = await startStored('folder');
  const balancer = stored.start();
  await balancer.logged('serving');
  const value = await stored.valueOf('*.example.com');
  expect(value).not.toContain('PRIVATE KEY');
  const keys = parseSealingKeys(await readFile(stored.keyFile, 'utf8'));
  if (!keys.ok) throw new Error(keys.reason);
  const authority = await makeAuthority(join(stored.dir, 'many'));
  const { certFile, keyFile } = await authority.issue('many', 2, ['*.example.com']);
  const [certificate, pem] = [await readFile(certFile, 'utf8'), await readFile(keyFile, 'utf8')];
  const issuedAt = new Date().toISOString();
  const more = { issuedAt, authority: undefined, renewAt: undefined, renewBy: undefined };
  for (let i = 0; i < 200; i += 1) {
    const key = certificateKey(`h${i}.example.com`);
    const sealed = seal(pem, key, keys.value, randomBytes(12));
    await stored.writeByHand(key, formatStoredCertificate({ certificate, key: sealed, ...more }));
  }
  await until('the last one is in the status', async () =>
    (await stored.askAdmin('/status')).body.includes('"h199.example.com"'),
  );
  await until(
    'all are acknowledged',
    async () => (await stored.refusal(certificateKey('h199.example.com'))) === undefined,
  );
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
});

test('a certificate that is too long for a command is acknowledged only after the reload that serves it', async () => {
  const stored = await startStored('folder');
  const balancer = stored.start();
  await balancer.logged('serving');
  const names = Array.from({ length: 400 }, (_, i) => `${'n'.repeat(20)}${i}.example.com`);
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host, { certifies: [host, ...names] }));
  await until('it is acknowledged', async () => {
    const refused = await stored.refusal(certificateKey(host));
    if (refused !== undefined) return false;
    return (await stored.askAdmin('/status')).body.includes(`"${host}"`);
  });
  expect(await stored.served()).toBeDefined();
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toHaveLength(1);
});

test('keys that open nothing leave the certificates in use, also after a restart', async () => {
  const stored = await startStored('folder');
  const first = stored.start();
  await first.logged('serving');
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const serial = await until('it is served', () => stored.served());
  const copies = join(stored.balancerDir, 'certificates/registry');
  const [copy = ''] = await readdir(copies);
  for (const path of [copies, join(copies, copy)]) expect((await stat(path)).mode & 0o77).toBe(0);
  first.kill('SIGTERM');
  await first.ended;

  await writeFile(stored.keyFile, stored.newKey());
  const second = stored.start();
  await second.logged('certificate-refused', ({ lastGoodServes }) => lastGoodServes === true);
  await second.logged('serving');
  expect(await stored.served()).toBe(serial);
  await until('the reason is acknowledged', async () =>
    (await stored.refusal(certificateKey(host)))?.includes('its private key cannot be opened'),
  );
  expect((await stored.askAdmin('/metrics')).body).toContain('pointsman_certificates_refused 1');
  // Whoever can seal with the new key replaces it.
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  await until('another one is served', async () => ![serial, undefined].includes(await stored.served()));
  await until('nothing is refused', async () => (await stored.refusal(certificateKey(host))) === undefined);
});

test('a balancer that was killed before it saved its catalog goes on with the newest certificate', async () => {
  const stored = await startStored('etcd');
  const first = stored.start();
  await first.logged('serving');
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const one = await until('it is served', () => stored.served());
  const catalog = join(stored.balancerDir, 'state/catalog.json');
  await until('it is saved', async () => (await readFile(catalog, 'utf8').catch(() => '')).includes('certificates/'));
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const two = await until('another one is served', async () => {
    const now = await stored.served();
    return now === one ? undefined : now;
  });
  // HAProxy goes on without pointsman, so it ends here to start from what is on disk.
  await first.destroy();
  await endHaproxy(stored.balancerDir);
  await stored.etcd?.members[0]?.stop();
  // As if it had been saved before both.
  const lines = (await readFile(catalog, 'utf8')).split('\n').filter((line) => !line.startsWith('["certificates/'));
  await writeFile(catalog, lines.join('\n'));
  await stored.start().logged('serving');
  expect(await stored.served()).toBe(two);
});
