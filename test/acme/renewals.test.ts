import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { certificateKey } from '../../src/model/acme/keys.ts';
import { open, parseSealingKeys } from '../../src/model/acme/sealing.ts';
import { parseStoredCertificate } from '../../src/model/acme/stored-certificate.ts';
import { type AcmeBalancer, startAcmeFleet, startThree, untilServed } from '../support/acme-fleet.ts';
import { isNightly } from '../support/nightly.ts';
import { until } from '../support/until.ts';

const hosts = ['shop.example.com', 'blog.example.com', 'docs.example.com'];

/** One handshake that checks name, authority and validity as a browser does. Gives the certificate's serial number. */
function shakeHands(port: number, servername: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername, ca }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject).setTimeout(10_000, () => socket.destroy(new Error('no handshake within 10 s')));
  });
}

/** Makes one handshake after the other with each balancer and host, until the test is finished. */
function startHandshakes(balancers: readonly AcmeBalancer[], ca: string) {
  const failures: string[] = [];
  const serials = new Map<string, Set<string>>(hosts.map((host) => [host, new Set()]));
  let count = 0;
  let stopped = false;
  const run = async (port: number, host: string): Promise<void> => {
    while (!stopped) {
      try {
        serials.get(host)?.add(await shakeHands(port, host, ca));
      } catch (error) {
        failures.push(`${host} at ${port}: ${String(error)}`);
      }
      count += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const running = balancers.flatMap(({ https }) => hosts.map((host) => run(https, host)));
  const stop = async () => {
    stopped = true;
    await Promise.all(running);
  };
  onTestFinished(stop);
  return { failures, serials, stop, count: () => count };
}

// `npm test` sees two renewals of each host at a validity of 12 s; the nightly run ten minutes at a validity of 60 s.
const { validitySeconds, renewals } = isNightly
  ? { validitySeconds: 60, renewals: 14 }
  : { validitySeconds: 12, renewals: 2 };

test('certificates are renewed before they run out, with one order each, no failed handshake and no reload', {
  timeout: 900_000,
}, async () => {
  const fleet = await startAcmeFleet({ pebble: { validitySeconds } });
  const balancers = await startThree(fleet);
  await fleet.declare('shop', hosts);
  for (const host of hosts) await untilServed(balancers, host);
  const reloads = () => balancers.flatMap(({ process }) => process.log.filter(({ event }) => event === 'reloaded'));
  const before = reloads().length;
  const handshakes = startHandshakes(balancers, (await fleet.pebble.root()) ?? '');
  const orders = () => hosts.map((host) => fleet.pebble.ordersOf(host));
  await until(`each host was renewed ${renewals} times`, () => orders().every((count) => count > renewals), {
    deadlineMs: validitySeconds * (renewals + 1) * 1000,
    everyMs: 100,
  });
  await until('the last ones are served', () =>
    hosts.every((host, i) => (handshakes.serials.get(host)?.size ?? 0) >= (orders()[i] ?? 0) - 1),
  );
  await handshakes.stop();
  expect(handshakes.failures).toEqual([]);
  expect(handshakes.count()).toBeGreaterThan(100);
  expect(reloads().length).toBe(before);
  // Each order brought a certificate.
  for (const [i, host] of hosts.entries()) {
    const seen = handshakes.serials.get(host)?.size ?? 0;
    expect(seen).toBeGreaterThanOrEqual((orders()[i] ?? 0) - 1);
  }
});

test("the authority's advice says when a certificate is renewed", async () => {
  const fleet = await startAcmeFleet({ pebble: { validitySeconds: 60 } });
  const now = Date.now();
  // The authority wants this one renewed now, because it will revoke it: it is renewed after a third of its minute, not at once.
  let advised: string | undefined;
  fleet.pebble.advise((id) => {
    advised ??= id;
    const start = id === advised ? now : now + 86_400_000;
    return { start: new Date(start).toISOString(), end: new Date(start + 1000).toISOString() };
  });
  const balancers = await startThree(fleet);
  await fleet.declare('shop', ['shop.example.com']);
  await untilServed(balancers, 'shop.example.com');
  await until('it was renewed', () => fleet.pebble.ordersOf('shop.example.com') === 2, {
    deadlineMs: 60_000,
  });
  const orders = fleet.pebble.asked('order');
  expect((orders[1]?.at ?? 0) - (orders[0]?.at ?? 0)).toBeGreaterThan(20_000);
  // The id of the certificate (RFC 9773, section 4.1): the authority's key and the serial number.
  expect(advised).toMatch(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/);
});

test('a certificate that an operator writes replaces the ordered one', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  const [host = ''] = hosts;
  await fleet.declare('shop', [host]);
  const first = await untilServed(balancers, host);
  const stored = (await fleet.entries()).get(`certificates/${host}`);
  expect((await fleet.command('certificates', '--renew', host)).code).toBe(0);
  await until('another one is served', async () => (await untilServed(balancers, host)) !== first);
  // Back to the one before, by hand.
  await fleet.registry.write(`certificates/${host}`, stored ?? '');
  await until('the one before is served', async () => (await untilServed(balancers, host)) === first);
});

test('a certificate that was revoked is served on until an operator asks for another one, where the authority gives no advice', async () => {
  const fleet = await startAcmeFleet();
  const one = await fleet.balancer('lb-1');
  const [host = ''] = hosts;
  await fleet.declare('shop', [host]);
  const before = await untilServed([one], host);
  const stored = parseStoredCertificate((await fleet.entries()).get(certificateKey(host)) ?? '');
  const keys = parseSealingKeys(await readFile(fleet.sealingKeys, 'utf8'));
  if (!stored.ok || !keys.ok) throw new Error('the entry cannot be read');
  const key = open(stored.value.key, certificateKey(host), keys.value);
  if (!key.ok) throw new Error(key.reason);
  const { certificate } = stored.value;
  await fleet.pebble.revoke(certificate, createPrivateKey(key.value));
  expect(await fleet.pebble.statusOf(certificate)).toBe('Revoked');
  // Nothing tells of it: pebble gives no advice about renewals.
  expect(await untilServed([one], host)).toBe(before);
  expect((await fleet.command('certificates')).stdout.join('\n')).toMatch(/ valid$/m);
  expect((await fleet.command('certificates', '--renew', host)).code).toBe(0);
  await until('another one is served', async () => (await untilServed([one], host)) !== before);
  const renewed = parseStoredCertificate((await fleet.entries()).get(certificateKey(host)) ?? '');
  expect(renewed.ok && (await fleet.pebble.statusOf(renewed.value.certificate))).toBe('Valid');
});

test('a balancer that joins after the registry was wiped and declared again serves the certificate of before', async () => {
  const fleet = await startAcmeFleet();
  const one = await fleet.balancer('lb-1');
  const [host = ''] = hosts;
  await fleet.declare('shop', [host]);
  const before = await untilServed([one], host);
  await fleet.etcd?.wipe();
  await one.process.logged('entries-held');
  await fleet.declare('shop', [host]);
  const two = await fleet.balancer('lb-2');
  expect(await untilServed([one, two], host)).toBe(before);
  expect(fleet.pebble.ordersOf(host)).toBe(1);
});

// Waits for two thirds of the lifetime.
test.runIf(isNightly)('what is served goes on to its last second while the authority is down', async () => {
  const fleet = await startAcmeFleet({ pebble: { validitySeconds: 15 } });
  const one = await fleet.balancer('lb-1');
  const [host = ''] = hosts;
  await fleet.declare('shop', [host]);
  await untilServed([one], host);
  fleet.pebble.down(true);
  const first = await one.certificateOf(host);
  await one.process.logged('certificate-order-failed');
  expect((await one.certificateOf(host))?.serialNumber).toBe(first?.serialNumber);
  fleet.pebble.down(false);
  await until('it is renewed', async () => (await one.certificateOf(host))?.serialNumber !== first?.serialNumber);
});
