import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certificateKey } from '../src/model/acme/keys.ts';
import { certificateOf } from './support/acme-fleet.ts';
import { makeAuthority } from './support/certificates.ts';
import { runPointsman } from './support/processes.ts';
import { host, startStored } from './support/stored-certificates.ts';
import { until } from './support/until.ts';

test('the keys of the file are followed: the first seals, all of them open', async () => {
  const stored = await startStored();
  const balancer = stored.start();
  await balancer.logged('serving');
  const before = await readFile(stored.keyFile, 'utf8');
  const next = stored.newKey();
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host, { text: next }));
  const reason = await until('it is refused', () => stored.refusal(certificateKey(host)));
  expect(reason).toMatch(/sealed with the key [\w-]{8}, which the file of keys does not have/);
  expect(await stored.served()).toBeUndefined();
  // As the rotation of the keys does it.
  await writeFile(stored.keyFile, `${next}\n${before}`);
  const first = await until('it is served', () => stored.served());
  // A file that cannot be used leaves the keys of before.
  await writeFile(stored.keyFile, 'rubbish\n');
  await balancer.logged('sealing-keys-unusable');
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host, { text: next }));
  await until('another one is served', async () => ![first, undefined].includes(await stored.served()));
  const trouble = async () => JSON.stringify(JSON.parse((await stored.askAdmin('/status')).body).troubles);
  await until('the status says it', async () => (await trouble()).includes('--sealing-keys: line 1 is not a key'));
  await writeFile(stored.keyFile, `${next}\n${before}`);
  await until('the same keys as before are no trouble', async () => (await trouble()) === '[]');
  // Everybody can read the file that this test wrote.
  await balancer.logged('sealing-keys-open');
  // Other keys do not open what is served. It stays, and everybody is told before only the copy is left.
  const last = await stored.served();
  await writeFile(stored.keyFile, `${stored.newKey()}\n`);
  await until('it is refused', () => stored.refusal(certificateKey(host)));
  await until('the status says it', async () => (await trouble()).includes('which the file of keys does not have'));
  const listed = await runPointsman([
    'certificates',
    '--registry',
    stored.location,
    '--admin',
    `127.0.0.1:${stored.admin}`,
  ]);
  expect(listed.stdout.join('\n')).toMatch(/shop\.example\.com .* refused by \S+: its private key cannot be opened/);
  expect(await stored.served()).toBe(last);
});

test.each([
  ['sealed for another host', { place: certificateKey('other.example.com') }, /changed, or belongs to another entry/],
  ['of another name', { certifies: ['other.example.com'] }, /is for other\.example\.com, not for shop\.example\.com/],
])('a certificate %s is not served', async (_, how, reason) => {
  const stored = await startStored();
  await stored.start().logged('serving');
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host, how));
  expect(await until('it is refused', () => stored.refusal(certificateKey(host)))).toMatch(reason);
  expect(await stored.served()).toBeUndefined();
});

test('a certificate of the folder goes before one of the registry with its name', async () => {
  const stored = await startStored();
  const folder = join(stored.dir, 'certificates');
  await mkdir(folder);
  const authority = await makeAuthority(join(stored.dir, 'other'));
  const { certFile, keyFile } = await authority.issue('own', 2, [host]);
  const pem = (await readFile(certFile, 'utf8')) + (await readFile(keyFile, 'utf8'));
  await writeFile(join(folder, 'shop.pem'), pem);
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  await stored.writeByHand(certificateKey('blog.example.com'), await stored.valueOf('blog.example.com'));
  await stored.start('--certificates', folder).logged('serving');
  await until('the one of the registry is served', () => stored.served('blog.example.com'));
  expect((await certificateOf(stored.https, host))?.subject.CN).toBe('own');
  expect(await stored.refusal(certificateKey(host))).toBeUndefined();
});

test('a start without the registry serves the certificates of before', async () => {
  const stored = await startStored();
  const first = stored.start();
  await first.logged('serving');
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const serial = await until('it is served', () => stored.served());
  first.kill('SIGTERM');
  await first.ended;
  await stored.etcd?.members[0]?.stop();
  await stored.start().logged('serving');
  expect(await stored.served()).toBe(serial);
  expect((await stored.ask(host)).status).toBe(308);
});

test('a registry whose data was lost leaves the certificates in use', async () => {
  const stored = await startStored();
  const balancer = stored.start();
  await balancer.logged('serving');
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const serial = await until('it is served', () => stored.served());
  await stored.etcd?.wipe();
  await balancer.logged('entries-held');
  expect(await stored.served()).toBe(serial);
});

test('sealing keys that cannot be read keep a balancer from starting, with the place of the mistake', async () => {
  const stored = await startStored();
  await writeFile(stored.keyFile, '# keys\nshort\n');
  const balancer = stored.start();
  expect((await balancer.ended).code).toBe(2);
  expect(balancer.output.join('\n')).toContain(`--sealing-keys ${stored.keyFile}: line 2 is not a key`);
});

test('pointsman wait --certificate ends when every balancer serves the certificate, and says why one does not', async () => {
  const stored = await startStored();
  const balancer = stored.start();
  await balancer.logged('serving');
  const wait = (...more: readonly string[]) => runPointsman(['wait', '--registry', stored.location, ...more]);
  const waiting = wait('--certificate', host);
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  expect(await waiting).toMatchObject({ code: 0, stdout: [expect.stringMatching(/is served by 1 balancer/)] });
  expect(await stored.served()).toBeDefined();
  const json = await wait('--certificate', host, '--json');
  expect(JSON.parse(json.stdout.join(''))).toMatchObject({ reached: true, certificate: host });

  const none = await wait('--certificate', 'none.example.com', '--timeout', '100ms');
  expect(none.code).toBe(1);
  expect(none.stderr.join('\n')).toMatch(/none\.example\.com: .*the registry has no certificate of this host/);
  // Nobody orders one, which ends the wait at once.
  const never = await wait(
    ...['--certificate', 'none.example.com', '--timeout', '2m', '--admin', `127.0.0.1:${stored.admin}`],
  );
  expect(never).toMatchObject({
    code: 1,
    stderr: [expect.stringContaining('none.example.com: there will be no cert')],
  });

  // A reason that no waiting removes ends the wait at once.
  await stored.writeByHand(
    certificateKey('x.example.com'),
    await stored.valueOf('x.example.com', { text: stored.newKey() }),
  );
  const refused = await wait('--certificate', 'x.example.com', '--timeout', '1m');
  expect(refused.stderr.join('\n')).toMatch(/refuses certificates\/x\.example\.com: its private key cannot be opened/);

  expect((await wait('web', '--certificate', host)).stderr.join('\n')).toMatch(/has no effect with --certificate/);
  expect((await wait()).stderr.join('\n')).toMatch(/nothing to wait for is named/);
});

test('a copy that cannot be written leaves the certificate in use, and the reason is told until it can', async () => {
  const stored = await startStored();
  await stored.start().logged('serving');
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  const serial = await until('it is served', () => stored.served());
  // A folder in the way of the copy, because root may write whatever the mode is.
  const copy = join(stored.balancerDir, 'certificates/registry', `${host}.pem`);
  await rm(copy);
  await mkdir(join(copy, 'in the way'), { recursive: true });
  await stored.writeByHand(certificateKey(host), await stored.valueOf(host));
  await until('the reason is acknowledged', async () => (await stored.refusal(certificateKey(host)))?.includes(copy));
  const status = async () => (await stored.askAdmin('/status')).body;
  await until('the status says it', async () => (await status()).includes('the previous certificates stay in use'));
  expect(await stored.served()).toBe(serial);
  await rm(copy, { recursive: true });
  await until('another one is served', async () => ![serial, undefined].includes(await stored.served()));
  await until('nothing is refused', async () => (await stored.refusal(certificateKey(host))) === undefined);
});
