import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { serveAll } from '../support/policies.ts';
import { sendRaw } from '../support/raw-request.ts';

// With the PROXY protocol a test can come from any address.
const templates = mkdtempSync(join(tmpdir(), 'pm-templates-'));
const shipped = readFileSync(join(import.meta.dirname, '../../templates/haproxy.cfg.mustache'), 'utf8');
writeFileSync(
  join(templates, 'haproxy.cfg.mustache'),
  shipped.replace('    bind {{bind}}\n', '    bind {{bind}} accept-proxy\n'),
);
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  rmSync(templates, { recursive: true });
  await Promise.all(closing.map((close) => close()));
});

const served = serveAll(
  async () => {
    const app = await startApp('app');
    closing.push(app.close);
    const rated = { policy: { rateLimit: { requests: 2, per: '1h' } }, instances: { a: app.address } };
    return { six: rated, mapped: rated, four: rated };
  },
  () => ({ templates }),
);

async function statusFrom(family: 'TCP4' | 'TCP6', source: string, host: string): Promise<string | undefined> {
  const to = family === 'TCP4' ? '127.0.0.1' : '::1';
  const bytes = `PROXY ${family} ${source} ${to} 1024 80\r\nGET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  return /^HTTP\/1\.1 (\d{3})/.exec(await sendRaw(served.balancer.port, bytes))?.[1];
}

test('a rate limit counts all addresses of one IPv6 /64 as one client', async () => {
  const found = [];
  for (const end of ['::1', '::2', ':ffff::3', ':1:2:3:4']) {
    found.push(await statusFrom('TCP6', `2001:db8:1:2${end}`, 'six'));
  }
  expect(found).toEqual(['200', '200', '429', '429']);
  expect(await statusFrom('TCP6', '2001:db8:1:3::1', 'six')).toBe('200');
});

test('a rate limit counts each IPv4 client of a socket for IPv6', async () => {
  for (let i = 1; i <= 4; i += 1) expect(await statusFrom('TCP6', `::ffff:192.0.2.${i}`, 'mapped')).toBe('200');
  for (let i = 1; i <= 4; i += 1) expect(await statusFrom('TCP4', `192.0.2.${i}`, 'four')).toBe('200');
});
