import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { orderKey } from '../../src/model/acme/keys.ts';
import { parseOrderRecord } from '../../src/model/acme/order-record.ts';
import { type AcmeFleet, startAcmeFleet, startThree, untilServed } from '../support/acme-fleet.ts';
import { until } from '../support/until.ts';

const host = 'shop.example.com';

/** Waits until the order of a host has failed with this. */
const failed = (fleet: AcmeFleet, name: string, error: RegExp) =>
  until(`the order of ${name} has failed`, async () => {
    const value = (await fleet.entries()).get(orderKey(name));
    const record = value === undefined ? undefined : parseOrderRecord(value);
    return record?.ok === true && error.test(record.value.error ?? '') ? record.value : undefined;
  });

test('an authority that is down is asked again, and then it issues', async () => {
  const fleet = await startAcmeFleet();
  fleet.pebble.down(true);
  const balancers = await startThree(fleet);
  await fleet.declare('shop', [host]);
  const leader = await fleet.leader();
  await balancers.find(({ id }) => id === leader)?.process.logged('certificate-order-failed');
  // Services are served all the same.
  await until('HTTP is answered', async () => (await balancers[0].ask(host)).body === 'app');
  fleet.pebble.down(false);
  await fleet.command('certificates', '--renew', host);
  await untilServed(balancers, host);
});

test('an authority that is slow and refuses a third of all nonces issues all the same', async () => {
  const fleet = await startAcmeFleet({ pebble: { nonceRejects: 33 } });
  fleet.pebble.slow(100);
  const balancers = await startThree(fleet);
  await fleet.declare('shop', [host, 'blog.example.com']);
  await untilServed(balancers, host);
  await untilServed(balancers, 'blog.example.com');
  expect(fleet.pebble.ordersOf(host)).toBe(1);
});

test('a rate limit of one host is respected, and the other hosts get their certificates', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  fleet.pebble.refuse('order', { status: 429, type: 'rateLimited', retryAfter: '3600', hosts: [host] });
  const since = Date.now();
  await fleet.declare('shop', [host, 'blog.example.com']);
  await untilServed(balancers, 'blog.example.com');
  const { nextTry } = await failed(fleet, host, /rateLimited/);
  // Not before the time that the authority gave.
  expect(Date.parse(nextTry ?? '')).toBeGreaterThanOrEqual(since + 3_600_000);
  const asked = fleet.pebble.asked('order').length;
  await fleet.declare('other', ['other.example.com']);
  await untilServed(balancers, 'other.example.com');
  expect(fleet.pebble.asked('order').length).toBe(asked + 1);
});

test('a challenge that the authority finds wrong fails that host only, with what the authority says', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  fleet.pebble.validators.lie('somebody else answers');
  await fleet.declare('shop', [host]);
  const { error } = await failed(fleet, host, /./);
  expect(error).toMatch(/unauthorized|somebody else answers|key authorization/i);
  fleet.pebble.validators.lie(undefined);
  await fleet.declare('blog', ['blog.example.com']);
  await untilServed(balancers, 'blog.example.com');
  // No challenge is left behind.
  await until('no challenge is left', async () =>
    [...(await fleet.entries()).keys()].every((key) => !key.startsWith('challenges/')),
  );
  // An operator need not wait for the next try.
  expect((await fleet.command('certificates', '--renew', host)).code).toBe(0);
  await untilServed(balancers, host);
});

test('an authority that has forgotten its accounts gets a new one', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  await fleet.declare('shop', [host]);
  await untilServed(balancers, host);
  await fleet.pebble.forgetEverything();
  await fleet.declare('blog', ['blog.example.com']);
  await untilServed(balancers, 'blog.example.com');
});

test('an authority with external account binding gets the account that the flags name', async () => {
  const key = randomBytes(32).toString('base64url');
  const fleet = await startAcmeFleet({ pebble: { eab: { kid: 'kid-1', key } } });
  const file = join(fleet.dir, 'eab');
  await writeFile(file, `${key}\n`);
  const one = await fleet.balancer('lb-1', '--acme-eab-kid', 'kid-1', '--acme-eab-key', file);
  await fleet.declare('shop', [host]);
  await untilServed([one], host);
});

test('without external account binding, the order says that the authority wants it', async () => {
  const fleet = await startAcmeFleet({ pebble: { eab: { kid: 'kid-1', key: randomBytes(32).toString('base64url') } } });
  await fleet.balancer('lb-1');
  await fleet.declare('shop', [host]);
  await failed(fleet, host, /external ?account/i);
});

test('only hosts of --acme-allow are ordered', async () => {
  const fleet = await startAcmeFleet();
  const one = await fleet.balancer('lb-1', '--acme-allow', 'shop.example.com');
  await fleet.declare('shop', [host]);
  await fleet.declare('blog', ['blog.example.org']);
  await untilServed([one], host);
  expect(fleet.pebble.ordersOf('blog.example.org')).toBe(0);
  expect((await fleet.command('certificates')).stdout.join('\n')).not.toMatch(/blog\.example\.org.*valid/);
});

test('an operator gets a new certificate by --renew', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  await fleet.declare('shop', [host]);
  const before = await untilServed(balancers, host);
  expect((await fleet.command('certificates', '--renew', host)).code).toBe(0);
  await until('another one is served', async () => (await untilServed(balancers, host)) !== before);
  expect(fleet.pebble.ordersOf(host)).toBe(2);
});

test('a balancer with another sealing key that leads first is named by the others', async () => {
  const fleet = await startAcmeFleet();
  const other = join(fleet.dir, 'other-keys');
  await writeFile(other, `${randomBytes(32).toString('base64')}\n`);
  await fleet.balancer('lb-1', '--sealing-keys', other);
  await fleet.leader();
  const two = await fleet.balancer('lb-2');
  await fleet.declare('shop', [host]);
  await two.process.logged('trouble');
  const says = async (...args: readonly string[]) =>
    (await fleet.command(...args, '--admin', `127.0.0.1:${two.admin}`)).stdout.join(' ').replaceAll(/\s+/g, ' ');
  await until('status names the balancer', async () =>
    /lb-2: for .*cannot order certificates: the private key of acme\/account, which lb-1 wrote, cannot be opened/.test(
      await says('status'),
    ),
  );
  await until('the certificate is refused', async () =>
    /shop\.example\.com .* refused by lb-2: its private key cannot be opened/.test(await says('certificates')),
  );
});
