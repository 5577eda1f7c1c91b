import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask } from '../support/ask.ts';
import type { TestBalancer } from '../support/balancer.ts';
import { startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { freePorts } from '../support/ports.ts';
import { startOwnBalancer } from '../support/serving.ts';
import { until } from '../support/until.ts';
import { closeAtEnd } from './front.ts';

const waiting = { certificate: 'auto', redirect: true };
const policies = {
  web: { hosts: ['shop.example.com'], https: waiting },
  port: { hosts: ['port.example.com'], https: { certificate: 'auto', redirect: 8443 } },
  wild: { hosts: ['*.wild.example'], https: waiting },
  any: { hosts: ['any.*'], https: waiting },
  serving: { hosts: ['serving.example.com'], https: { certificate: 'auto' } },
  always: { hosts: ['always.example.com'], https: 'redirect' },
  moved: { hosts: ['www.moved.example', 'moved.example'], https: waiting, redirect: { host: 'moved.example' } },
  path: { hosts: ['path.example.com'], https: waiting, redirect: { from: '/old', to: '/new' } },
};

const served = serveAll(async () => {
  const app = closeAtEnd(await startEcho('app'));
  return Object.fromEntries(
    Object.entries(policies).map(([name, policy]) => [name, { policy, instances: { a: app.address } }]),
  );
});

/** Where a request is sent to; the status if it is sent nowhere. */
const where = async (host: string, path = '/x?y=1') => {
  const { status, headers } = await served.ask(host, { path });
  return headers.location ?? status;
};

const workerOf = async ({ command }: TestBalancer) =>
  /^Pid: (\d+)$/m.exec((await command('show info')).join('\n'))?.[1];

test.each([
  ['of a host', 'shop.example.com', 'shop.example.com', 'https://shop.example.com/x?y=1'],
  ['of a host that a wildcard covers', 'shop.example.com', '*.example.com', 'https://shop.example.com/x?y=1'],
  ['to another port', 'port.example.com', 'port.example.com', 'https://port.example.com:8443/x?y=1'],
  ['of a wildcard', 'a.wild.example', '*.wild.example', 'https://a.wild.example/x?y=1'],
  ['of one host of a wildcard', 'a.wild.example', 'a.wild.example', 'https://a.wild.example/x?y=1'],
  ['of a host that the first label matches', 'any.example.org', 'any.example.org', 'https://any.example.org/x?y=1'],
])('the redirect %s waits for a certificate', async (_, host, name, to) => {
  const { balancer } = served.balancer;
  balancer.certify(new Set());
  await until('there is no redirect', async () => (await where(host)) === 200);
  const worker = await workerOf(served.balancer);
  balancer.certify(new Set([name, 'unused.example.com']));
  await until('there is a redirect', async () => (await where(host)) !== 200);
  expect(await where(host)).toBe(to);
  expect(String(await where(`${host.toUpperCase()}.:80`)).toLowerCase()).toBe(to.replace(host, `${host}.`));
  expect(String(await where(`other.${host}`))).not.toMatch(/^https/);
  expect(await served.balancer.routes()).not.toContain('unused');
  expect(await workerOf(served.balancer)).toBe(worker);
  balancer.certify(new Set());
  await until('there is no redirect', async () => (await where(host)) === 200);
});

test('a host without the redirect, and one whose redirect waits for nothing, do not look for a certificate', async () => {
  served.balancer.balancer.certify(new Set());
  expect(await where('serving.example.com')).toBe(200);
  expect(await where('always.example.com')).toBe('https://always.example.com/x?y=1');
  served.balancer.balancer.certify(new Set(['serving.example.com']));
  await served.balancer.applied();
  expect(await where('serving.example.com')).toBe(200);
});

test('a redirect to another host or path has HTTPS as soon as the new host has a certificate', async () => {
  const { balancer } = served.balancer;
  balancer.certify(new Set(['www.moved.example']));
  await until(
    'the path has no HTTPS',
    async () => (await where('path.example.com', '/old/x')) === 'http://path.example.com/new/x',
  );
  expect(await where('www.moved.example')).toBe('http://moved.example/x?y=1');
  expect(await where('moved.example')).toBe(200);
  balancer.certify(new Set(['moved.example', 'path.example.com']));
  await until(
    'the path has HTTPS',
    async () => (await where('path.example.com', '/old/x')) === 'https://path.example.com/new/x',
  );
  await until('the host has HTTPS', async () => (await where('www.moved.example')) === 'https://moved.example/x?y=1');
  expect(await where('moved.example')).toBe('https://moved.example/x?y=1');
});

test('a policy that comes to wait finds the certificates that are there', async () => {
  const { balancer, port, change, applied } = served.balancer;
  balancer.certify(new Set(['late.example.com']));
  change({ 'services/web': JSON.stringify({ hosts: ['late.example.com'], https: waiting }) });
  await applied();
  const { status } = await ask(port, 'late.example.com');
  expect(status).toBe(308);
});

/** A balancer with HTTPS that has ended, and whose redirect has begun; `again` starts another one with its folder. */
async function afterCertified() {
  const dir = await mkdtemp(join(tmpdir(), 'pm-'));
  const list = join(dir, 'list');
  await writeFile(list, '');
  const [tls = 0] = await freePorts(1);
  const https = { bind: `127.0.0.1:${tls}`, list, http3: false };
  const entries = { 'services/web': JSON.stringify({ hosts: ['shop.example.com'], https: waiting }) };
  const first = await startOwnBalancer({ dir, baseSettings: { https } });
  const redirects = async () => (await ask(first.port, 'shop.example.com')).status === 308;
  first.snapshot(entries);
  await first.balancer.start();
  first.balancer.certify(new Set(['shop.example.com']));
  await until('there is a redirect', redirects);
  await first.stop({ keep: true });
  const again = async (baseSettings: { https?: typeof https }) => {
    const second = await startOwnBalancer({ dir, port: first.port, baseSettings });
    second.snapshot(entries);
    await second.balancer.start();
    return second;
  };
  return { https, redirects, again };
}

test('a redirect goes on over a restart, before it is known which certificates HAProxy serves', async () => {
  const { https, redirects, again } = await afterCertified();
  const second = await again({ https });
  expect(await redirects()).toBe(true);
  await second.applied();
  expect(await redirects()).toBe(true);
  second.balancer.certify(new Set());
  await until('there is no redirect', async () => !(await redirects()));
});

test('a redirect that waits for a certificate ends when the balancer is started again without HTTPS', async () => {
  const { redirects, again } = await afterCertified();
  const second = await again({});
  await second.applied();
  expect(await redirects()).toBe(false);
});
