import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certificateKey } from '../src/model/acme/keys.ts';
import { parseSealingKeys, seal } from '../src/model/acme/sealing.ts';
import { formatStoredCertificate } from '../src/model/acme/stored-certificate.ts';
import { certificateOf } from './support/acme-fleet.ts';
import { startApps } from './support/app.ts';
import { makeAuthority } from './support/certificates.ts';
import { freePorts } from './support/ports.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

const host = 'shop.example.com';

/** A registry, keys that seal, and an authority whose certificates are written to the registry by hand. */
async function startStored() {
  const scenario = await startScenario('etcd');
  const authority = await makeAuthority(join(scenario.dir, 'authority'));
  const [https = 0] = await freePorts(1);
  const keyFile = join(scenario.dir, 'sealing-keys');
  const newKey = () => randomBytes(32).toString('base64');
  await writeFile(keyFile, `${newKey()}\n`);
  const [app = ''] = await startApps('app');
  await scenario.writeByHand('instances/shop/a', app);
  await scenario.writeByHand(
    'services/shop',
    JSON.stringify({ hosts: ['*'], https: { certificate: 'auto', redirect: true } }),
  );
  let count = 0;
  return {
    ...scenario,
    https,
    keyFile,
    newKey,
    start: (...more: readonly string[]) =>
      scenario.balancer('--https', `127.0.0.1:${https}`, '--sealing-keys', keyFile, ...more),
    /** The value of the entry of a host's certificate, sealed for a key. */
    async valueOf(name: string, { certifies = name, place = certificateKey(name), text = '' } = {}): Promise<string> {
      const keys = parseSealingKeys(text === '' ? await readFile(keyFile, 'utf8') : text);
      if (!keys.ok) throw new Error(keys.reason);
      count += 1;
      const { certFile, keyFile: pem } = await authority.issue(`c${count}`, 2, [certifies]);
      return formatStoredCertificate({
        certificate: await readFile(certFile, 'utf8'),
        key: seal(await readFile(pem, 'utf8'), place, keys.value, randomBytes(12)),
        issuedAt: new Date().toISOString(),
        authority: undefined,
        renewAt: undefined,
        renewBy: undefined,
      });
    },
    /** The certificate's serial number; undefined: the handshake fails. */
    served: async (name = host) => (await certificateOf(https, name))?.serialNumber,
    /** Why this balancer does not serve a key, from its acknowledgement. */
    async refusal(key: string): Promise<string | undefined> {
      const [, value = '{}'] = ((await scenario.etcd?.ctl('get', '--prefix', '/pointsman/balancers/')) ?? '').split(
        '\n',
      );
      const { refusals = [] } = JSON.parse(value) as { refusals?: { key: string; reason: string }[] };
      return refusals.find((one) => one.key === key)?.reason;
    },
  };
}

test('a certificate of the registry is served, replaced and removed without a reload', async () => {
  const stored = await startStored();
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

  await stored.etcd?.ctl('del', `/pointsman/${certificateKey(host)}`);
  await until('it is not served any more', async () => (await stored.served()) === undefined);
  await until('HTTP is served again', async () => (await stored.ask(host)).status === 200);
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
  expect(balancer.output.join('\n')).not.toContain('PRIVATE KEY');
});

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
});

test.each([
  ['sealed for another host', { place: certificateKey('other.example.com') }, /changed, or belongs to another entry/],
  ['of another name', { certifies: 'other.example.com' }, /is for other\.example\.com, not for shop\.example\.com/],
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
  const { code } = await stored.start().ended.then((ended) => ended);
  expect(code).not.toBe(0);
});

test('two hundred certificates are served without a reload', async () => {
  const stored = await startStored();
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
