import { afterAll, describe, expect, test } from 'vitest';
import type { Cidr } from '../../src/model/address.ts';
import { startApp } from '../support/app.ts';
import { askEcho, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

const sayings = {
  plain: 'a b',
  quotes: `say "it's" \\ #1 $HOME 100% %[src] {x}; <y>`,
  long: 'word '.repeat(200).trim(),
};

const served = serveAll(
  async () => {
    const echo = await startEcho('echo');
    const page = await startApp('page', ({ url }, response) => {
      response.setHeader('content-type', url === '/picture' ? 'image/png' : 'text/html; charset=utf-8');
      response.setHeader('x-powered-by', 'tests');
      response.end('<p>page</p>'.repeat(1000));
    });
    const failing = await startApp('failing', (_, response) => response.writeHead(503).end('failing'));
    closing.push(echo.close, page.close, failing.close);
    const a = { a: echo.address };
    return {
      plain: { instances: a },
      inside: { policy: { access: { allow: ['127.0.0.0/30', '::1'], deny: ['127.0.0.2'] } }, instances: a },
      open: { policy: { access: { deny: Array.from({ length: 200 }, (_, i) => `127.1.${i}.0/24`) } }, instances: a },
      rated: { policy: { rateLimit: { requests: 3, per: '1h' } }, instances: a },
      'rated-too': { policy: { rateLimit: { requests: 3, per: '1h' } }, instances: a },
      secure: { policy: { https: 'redirect' }, instances: a },
      'secure-else': { policy: { https: { redirect: 8443 } }, instances: a },
      dressed: {
        policy: {
          headers: {
            request: {
              remove: ['X-Secret'],
              set: { 'X-Set': 'ours', Host: 'inside.example' },
              add: { 'X-Many': 'two' },
            },
            response: { remove: ['X-Powered-By'], set: { 'Strict-Transport-Security': 'max-age=31536000; preload' } },
          },
        },
        instances: { a: page.address },
      },
      'dressed-request': {
        policy: {
          headers: {
            request: {
              remove: ['X-Secret'],
              set: { 'X-Set': 'ours', Host: 'inside.example' },
              add: { 'X-Many': 'two' },
            },
          },
        },
        instances: a,
      },
      sayings: {
        policy: {
          headers: { request: { set: Object.fromEntries(Object.entries(sayings).map(([k, v]) => [`x-${k}`, v])) } },
        },
        instances: a,
      },
      squeezed: { policy: { compression: {} }, instances: { a: page.address } },
      again: {
        policy: { balance: 'roundrobin', retries: { count: 2, on: ['503'] } },
        instances: { a: echo.address, b: failing.address },
      },
      once: { policy: { balance: 'roundrobin' }, instances: { a: echo.address, b: failing.address } },
    };
  },
  () => ({ baseSettings: { trustedProxies: ['127.0.0.42' as Cidr] } }),
);

const { ask } = served;
const statuses = async (count: number, host: string, more: object = {}) => {
  const found: number[] = [];
  for (let i = 0; i < count; i += 1) found.push((await ask(host, more)).status);
  return found;
};

describe('access', () => {
  test('is for those who are allowed and not denied', async () => {
    expect((await ask('inside', { from: '127.0.0.1' })).status).toBe(200);
    expect((await ask('inside', { from: '127.0.0.2' })).status).toBe(403);
    expect((await ask('inside', { from: '127.0.0.4' })).status).toBe(403);
  });

  test('is for all but those who are denied, when nobody is allowed by name', async () => {
    expect((await ask('open', { from: '127.0.0.9' })).status).toBe(200);
    expect((await ask('open', { from: '127.1.0.1' })).status).toBe(403);
    expect((await ask('open', { from: '127.1.199.1' })).status).toBe(403);
  });
});

describe('a rate limit', () => {
  test('answers 429 to a source that asks too often, and to nobody else', async () => {
    expect(await statuses(5, 'rated', { from: '127.0.0.5' })).toEqual([200, 200, 200, 429, 429]);
    expect((await ask('rated', { from: '127.0.0.5' })).headers['retry-after']).toBe('3600');
    expect((await ask('rated', { from: '127.0.0.6' })).status).toBe(200);
  });

  test('counts for each service, also where they share a policy', async () => {
    expect(await statuses(4, 'rated', { from: '127.0.0.7' })).toEqual([200, 200, 200, 429]);
    expect((await ask('rated-too', { from: '127.0.0.7' })).status).toBe(200);
  });
});

describe('https: redirect', () => {
  test('sends a request without TLS to the same place with it', async () => {
    const { status, headers } = await ask('secure:8080', { path: '/a/b?c=d', method: 'POST', body: 'x' });
    expect({ status, location: headers.location }).toEqual({ status: 308, location: 'https://secure/a/b?c=d' });
  });

  test('or on another port', async () => {
    expect((await ask('secure-else')).headers.location).toBe('https://secure-else:8443/');
  });

  test('believes a trusted proxy in front that took the TLS off, and nobody else', async () => {
    const headers = { 'X-Forwarded-Proto': 'https' };
    expect((await ask('secure', { headers, from: '127.0.0.42' })).status).toBe(200);
    expect((await ask('secure', { headers })).status).toBe(308);
  });
});

describe('headers', () => {
  test('of a request are removed, set and added', async () => {
    const { headers } = await askEcho(served.balancer.port, {
      host: 'dressed-request',
      headers: { 'X-Secret': 'theirs', 'X-Set': 'theirs', 'X-Many': 'one' },
    });
    expect(headers).toMatchObject({ 'x-set': 'ours', 'x-many': 'one, two', host: 'inside.example' });
    expect(headers).not.toHaveProperty('x-secret');
  });

  test('of a response are removed and set', async () => {
    const { headers } = await ask('dressed');
    expect(headers['strict-transport-security']).toBe('max-age=31536000; preload');
    expect(headers).not.toHaveProperty('x-powered-by');
  });

  test('arrive as they were written, whatever haproxy.cfg makes of such characters', async () => {
    const { headers } = await askEcho(served.balancer.port, { host: 'sayings' });
    for (const [name, value] of Object.entries(sayings)) expect(headers[`x-${name}`]).toBe(value);
  });
});

describe('compression', () => {
  const gzip = { headers: { 'accept-encoding': 'gzip' } };

  test('is for clients that accept it and for types that gain by it', async () => {
    expect((await ask('squeezed', gzip)).headers['content-encoding']).toBe('gzip');
    expect((await ask('squeezed')).headers).not.toHaveProperty('content-encoding');
    expect((await ask('squeezed', { ...gzip, path: '/picture' })).headers).not.toHaveProperty('content-encoding');
  });
});

describe('retries', () => {
  test('ask another server after an answer that is listed', async () => {
    expect(await statuses(6, 'again')).toEqual([200, 200, 200, 200, 200, 200]);
    expect(await statuses(6, 'once')).toContain(503);
  });

  test('do nothing twice that may not be done twice', async () => {
    expect(await statuses(6, 'again', { method: 'POST', body: 'x' })).toContain(503);
  });
});

test('a new service with the settings of another needs no reload where HAProxy can add one (3.4), and has them all', async () => {
  const { balancer } = served;
  const reloads = await balancer.metric('reloads_total');
  const { accepted } = balancer.balancer.status().catalog;
  const [rated, instance] = ['services/rated', 'instances/rated/a'].map((key) => accepted.get(key)?.value);
  balancer.change({ 'services/rated-later': rated, 'instances/rated-later/a': instance });
  await balancer.applied();
  expect(await statuses(4, 'rated-later', { from: '127.0.0.8' })).toEqual([200, 200, 200, 429]);
  expect(await balancer.metric('reloads_total')).toBe(reloads + (balancer.link.abilities.addBackend ? 0 : 1));
});
