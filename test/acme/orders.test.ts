import { expect, test } from 'vitest';
import { certificateKey, orderKey } from '../../src/model/acme/keys.ts';
import { startAcmeFleet, startThree, untilServed } from '../support/acme-fleet.ts';
import { exchange } from '../support/ask.ts';
import { isNightly } from '../support/nightly.ts';
import { requestOver } from '../support/tls-request.ts';
import { until } from '../support/until.ts';

const host = 'shop.example.com';

test('a declared host has HTTPS on three balancers, and the authority asks only when all of them answer', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  await fleet.leader();
  const reloads = () => balancers.map(({ process }) => process.log.filter(({ event }) => event === 'reloaded').length);

  await fleet.declare('shop', [host]);
  // Until there is a certificate, HTTP is answered as before, without the redirect that the policy asks for.
  await until('HTTP is answered', async () => (await balancers[0].ask(host)).status !== 404);
  await untilServed(balancers, host);
  const since = reloads();

  const { validators, root } = fleet.pebble;
  const ca = (await root()) ?? '';
  for (const { https } of balancers) {
    expect(await requestOver(https, { host, ca })).toMatchObject({ status: 200, body: 'app' });
  }
  const questions = validators.seen();
  expect(questions.length).toBeGreaterThan(0);
  for (const { answers } of questions) {
    expect(answers).toHaveLength(3);
    expect(new Set(answers).size, JSON.stringify(questions)).toBe(1);
    expect(answers[0]).not.toMatch(/^status|Error/);
  }
  expect(fleet.pebble.ordersOf(host)).toBe(1);
  for (const { http } of balancers) {
    await until('HTTP is redirected', async () => (await exchange(http, { host })).status === 308);
  }
  // The certificate and the redirect that waited for it take no reload.
  expect(reloads()).toEqual(since);
  await until('no challenge is left', async () =>
    [...(await fleet.entries()).keys()].every((key) => !key.startsWith('challenges/')),
  );
  expect((await fleet.command('wait', '--certificate', host)).code).toBe(0);
});

test('a second host takes no reload', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  await fleet.declare('shop', [host]);
  await untilServed(balancers, host);
  const reloads = () => balancers.map(({ process }) => process.log.filter(({ event }) => event === 'reloaded').length);
  const before = reloads();
  await fleet.declare('shop', [host, 'blog.example.com']);
  await untilServed(balancers, 'blog.example.com');
  expect(reloads()).toEqual(before);
});

test('no private key is in the registry in clear, in a log, in the status or on the page', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  await fleet.declare('shop', [host]);
  await untilServed(balancers, host);
  const seen: string[] = [...(await fleet.entries()).values()];
  for (const one of balancers) {
    seen.push(...one.process.output);
    for (const path of ['/status', '/', '/metrics', '/services', `/explain/shop`]) {
      seen.push((await exchange(one.admin, { host: 'localhost', path })).body);
    }
  }
  seen.push(...(await fleet.command('certificates')).stdout, ...(await fleet.command('certificates', '--json')).stdout);
  expect(seen.length).toBeGreaterThan(10);
  for (const text of seen) expect(text).not.toMatch(/PRIVATE KEY/);
  // Keys as base64 of DER, or of PEM.
  for (const text of seen) expect(text).not.toMatch(/MHcCAQEE|MIGHAgEA|LS0tLS1CRUdJTiBF|LS0tLS1CRUdJTiBQUklW|MIIEv/);
});

// Before the order is made, it may be made twice. Later the next leader goes on with it. Each takes the 10 s of the leader's lease.
const stages = [
  { stage: 'account', atMost: 1 },
  { stage: 'order', atMost: 2 },
  { stage: 'authorization', atMost: 1 },
  { stage: 'challenge', atMost: 1 },
  { stage: 'poll', atMost: 1 },
  { stage: 'finalize', atMost: 1 },
  { stage: 'certificate', atMost: 1 },
] as const;

test.each(stages.filter(({ stage }) => isNightly || stage === 'challenge'))(
  'the leader is killed at the stage $stage of an order, and another balancer goes on with it',
  async ({ stage, atMost }) => {
    const fleet = await startAcmeFleet();
    const balancers = await startThree(fleet);
    const id = await fleet.leader();
    const held = fleet.pebble.hold(stage);
    await fleet.declare('shop', [host]);
    await held.reached();
    const leader = balancers.find((one) => one.id === id);
    await leader?.kill();
    held.release();
    const others = balancers.filter((one) => one.id !== id);
    await untilServed(others, host);
    expect(fleet.pebble.ordersOf(host)).toBeLessThanOrEqual(atMost);
    expect(await fleet.leader()).not.toBe(id);
    await until('the order is over', async () => {
      const entries = await fleet.entries();
      const record = entries.get(orderKey(host));
      return entries.has(certificateKey(host)) && (record === undefined || record.includes('"waiting"'));
    });
  },
);

test('a balancer that joins in the middle of a challenge answers it, too', async () => {
  const fleet = await startAcmeFleet();
  const first = await Promise.all([fleet.balancer('lb-1'), fleet.balancer('lb-2')]);
  await fleet.leader();
  const held = fleet.pebble.hold('challenge');
  await fleet.declare('shop', [host]);
  await held.reached();
  const third = await fleet.balancer('lb-3');
  held.release();
  await untilServed([...first, third], host);
  for (const { answers } of fleet.pebble.validators.seen()) {
    expect(answers).toHaveLength(3);
    expect(new Set(answers).size).toBe(1);
  }
  expect(fleet.pebble.ordersOf(host)).toBe(1);
});

test('an order goes on when etcd has been away in the middle of it', async () => {
  const fleet = await startAcmeFleet();
  const balancers = await startThree(fleet);
  await fleet.leader();
  const held = fleet.pebble.hold('finalize');
  await fleet.declare('shop', [host]);
  await held.reached();
  const [member] = fleet.etcd?.members ?? [];
  await member?.stop();
  held.release();
  await Promise.all(balancers.map(({ process }) => process.logged('registry-disconnected')));
  member?.start();
  await untilServed(balancers, host);
});

test('a balancer that starts while the registry is away serves its certificates', async () => {
  const fleet = await startAcmeFleet();
  const one = await fleet.balancer('lb-1');
  await fleet.declare('shop', [host]);
  const before = await untilServed([one], host);
  await fleet.etcd?.members[0]?.stop();
  one.process.kill('SIGTERM');
  await one.process.ended;
  const again = one.again();
  await again.logged('serving');
  expect((await one.certificateOf(host))?.fingerprint256).toBe(before);
});

test('certificates are ordered with a folder as the registry', async () => {
  const fleet = await startAcmeFleet({ registry: 'folder' });
  const balancers = await startThree(fleet);
  await fleet.declare('shop', [host]);
  await untilServed(balancers, host);
  expect(fleet.pebble.ordersOf(host)).toBe(1);
});
