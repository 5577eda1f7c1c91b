import { expect, test } from 'vitest';
import { askEcho, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { askRaw } from '../support/raw-request.ts';
import { closeAtEnd } from './front.ts';

const host = 'api.example.com';
const policies = {
  web: { hosts: [host] },
  next: { routes: [{ hosts: [host], match: { headers: { 'X-Version': '2' } } }] },
  reads: { hosts: [host], match: { method: ['GET', 'HEAD'], headers: { 'x-version': '2' } } },
  writes: { hosts: [host], paths: ['/jobs'], match: { method: 'POST' } },
  beta: { hosts: [host], paths: ['/q/v1'], strip: true, match: { query: { beta: { regex: '^(1|true)$' } } } },
  tenant: { hosts: [host], paths: ['/q'], match: { cookies: { tenant: { prefix: 'a ' } } } },
  present: { hosts: [host], paths: ['/q'], match: { headers: { 'x-any': { prefix: '' } } } },
  odd: { hosts: ['*.odd.example'], paths: ['/a'], match: { headers: { 'X-Odd': '100% of "a;b|c" \\ #x & /' } } },
  wide: { hosts: ['*.odd.example'] },
  high: { hosts: [host], paths: ['/first'], priority: 1, match: { headers: { 'x-a': '1' } } },
  low: { hosts: [host], paths: ['/first'], match: { headers: { 'x-a': '1', 'x-b': '1' } } },
  out: { hosts: [host], paths: ['/out'], maintenance: true, match: { method: 'GET' } },
  only: { hosts: ['only.example.com'], match: { method: 'PUT' } },
};

const served = serveAll(async () => {
  const entries = Object.entries(policies).map(async ([name, policy]) => {
    const app = closeAtEnd(await startEcho(name));
    return [name, { policy, instances: { a: app.address } }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
});

const who = async (path: string, headers: Record<string, string> = {}, method = 'GET', at = host) => {
  const { status, body } = await served.ask(at, { path, headers, method });
  return status === 200 ? (JSON.parse(body) as { name: string }).name : status;
};

test.each([
  ['without what a match asks for', '/', {}, 'GET', 'web'],
  ['with the header', '/', { 'X-Version': '2' }, 'PUT', 'next'],
  ['with another value of the header', '/', { 'X-Version': '22' }, 'PUT', 'web'],
  ['that fits the match with the most conditions', '/x/y', { 'X-Version': '2' }, 'GET', 'reads'],
  ['with the method', '/jobs', {}, 'POST', 'writes'],
  ['with another method', '/jobs', {}, 'GET', 'web'],
  ['that fits a match of a shorter path only', '/jobs', { 'X-Version': '2' }, 'GET', 'reads'],
  ['with the query', '/q/v1/x?a=1&beta=true', {}, 'GET', 'beta'],
  ['with a path that is not in its normal form', '/./q//%761/x?beta=1', {}, 'GET', 'beta'],
  ['with the host in capitals and a port', '/', { Host: 'API.example.com.:81', 'X-Version': '2' }, 'GET', 'reads'],
  ['with a header that clients may not set', '/', { 'X-Version': '2', 'X-Real-IP': '1' }, 'GET', 'reads'],
  ['with a query that is encoded', '/q/v1/x?beta=%31', {}, 'GET', 'beta'],
  ['with a query that the expression does not match', '/q/v1/x?beta=10', {}, 'GET', 'web'],
  ['with the beginning of a cookie', '/q', { Cookie: 'x=1; tenant=a b' }, 'GET', 'tenant'],
  ['with another cookie', '/q', { Cookie: 'tenant=b' }, 'GET', 'web'],
  ['with any value of a header', '/q', { 'X-Any': 'y' }, 'GET', 'present'],
  ['that fits two matches, of which no claim allows the priority', '/first', { 'X-A': '1', 'X-B': '1' }, 'GET', 'low'],
])('a request %s goes to the service', async (_, path, headers, method, name) => {
  expect(await who(path, headers as Record<string, string>, method)).toBe(name);
});

test('a value may have any printable character', async () => {
  const odd = 'x.odd.example';
  expect(await who('/a/b', { 'X-Odd': '100% of "a;b|c" \\ #x & /' }, 'GET', odd)).toBe('odd');
  expect(await who('/a/b', { 'X-Odd': '100% of "a;b|c" \\ #x &' }, 'GET', odd)).toBe('wide');
});

test('one of several header lines is enough', async () => {
  const lines = [`Host: ${host}`, 'X-Version: 1', 'X-Version: 2'];
  expect((await askRaw(served.balancer.port, '/', lines)).body).toContain('"reads"');
});

test('a request that no match fits is answered with 404 where nothing else is', async () => {
  expect(await who('/', {}, 'PUT', 'only.example.com')).toBe('only');
  expect(await who('/', {}, 'GET', 'only.example.com')).toBe(404);
});

test('a match strips the prefix of its route', async () => {
  const { url } = await askEcho(served.balancer.port, { host, path: '/q/v1/x?beta=1' });
  expect(url).toBe('/x?beta=1');
});

test('a service in maintenance answers the requests that fit its match', async () => {
  const { status, headers } = await served.ask(host, { path: '/out/x' });
  expect([status, headers['retry-after']]).toEqual([503, '60']);
  expect(await who('/out/x', {}, 'POST')).toBe('web');
});
