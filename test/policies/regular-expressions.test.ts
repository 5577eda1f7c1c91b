import { expect, test } from 'vitest';
import { startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { closeAtEnd } from './front.ts';

// The most expensive kind that pointsman accepts: each "a" is the beginning of a long attempt.
const costly = `^/.*${'a'.repeat(50)}b`;
const sixteen = Array.from({ length: 16 }, (_, i) => ({ regex: `${costly}${i}`, to: '/z' }));
const match = (i: number) => ({ headers: { 'X-A': { regex: `^.*${'a'.repeat(50)}b${i}` } } });

const served = serveAll(async () => {
  const at = { a: closeAtEnd(await startEcho('app')).address };
  const routes = Array.from({ length: 64 }, (_, i) => ({ hosts: ['m.example.com'], match: match(i) }));
  return {
    rewriting: { policy: { hosts: ['r.example.com'], rewrite: sixteen }, instances: at },
    redirecting: {
      policy: { hosts: ['d.example.com'], redirect: { regex: '^/old(.*)$', to: '/new$1' } },
      instances: at,
    },
    growing: {
      policy: {
        hosts: ['g.example.com'],
        rewrite: [
          { regex: '^/(.*)$', to: `/${'$1'.repeat(9)}` },
          { regex: '^/x(.*)$', to: '/$1' },
        ],
      },
      instances: at,
    },
    prefix: { policy: { hosts: ['p.example.com'], rewrite: { from: '/old', to: '/new' } }, instances: at },
    matching: { policy: { routes }, instances: at },
    many: {
      policy: {
        routes: [
          ...Array.from({ length: 20 }, (_, i) => ({
            hosts: ['b.example.com'],
            match: { method: 'GET', headers: { 'X-A': { regex: `^b${i}` } } },
          })),
        ],
      },
      instances: at,
    },
    last: {
      policy: {
        hosts: ['b.example.com'],
        match: { headers: { 'X-A': { regex: '^a' } } },
        redirect: { to: '/last' },
      },
      instances: {},
    },
    long: {
      policy: { hosts: ['l.example.com'], match: { headers: { 'X-A': { regex: '^a' } } }, redirect: { to: '/last' } },
      instances: {},
    },
    otherwise: { policy: { hosts: ['m.example.com', 'l.example.com', 'b.example.com'] }, instances: at },
  };
});

const path = (length: number) => `/${'a'.repeat(length - 1)}`;
const status = async (host: string, asked: string, headers: Record<string, string> = {}) =>
  (await served.ask(host, { path: asked, headers })).status;

test('a path of more than 2,048 characters is answered with 414 where a policy has a regular expression', async () => {
  expect(await status('r.example.com', path(2048))).toBe(200);
  expect(await status('r.example.com', path(2049))).toBe(414);
  expect(await status('d.example.com', path(2049))).toBe(414);
  expect(await status('p.example.com', path(9000))).toBe(200);
});

test('a rewrite that makes a path too long for the next regular expression is answered with 414', async () => {
  expect(await status('g.example.com', path(200))).toBe(200);
  expect(await status('g.example.com', path(300))).toBe(414);
});

test('a value of more than 2,048 characters does not fit a regular expression', async () => {
  expect(await status('l.example.com', '/', { 'X-A': 'a'.repeat(2048) })).toBe(308);
  expect(await status('l.example.com', '/', { 'X-A': 'a'.repeat(2049) })).toBe(200);
});

test('no value fits a regular expression after a request has compared 32,768 characters', async () => {
  expect(await status('b.example.com', '/', { 'X-A': 'a'.repeat(500) })).toBe(308);
  expect(await status('b.example.com', '/', { 'X-A': 'a'.repeat(2048) })).toBe(200);
});

test('other services answer while requests take as much time in regular expressions as they can', async () => {
  const flood = Array.from({ length: 200 }, (_, i) =>
    i % 2 === 0 ? status('r.example.com', path(2048)) : status('m.example.com', '/', { 'X-A': 'a'.repeat(2048) }),
  );
  const others = Array.from({ length: 20 }, () => status('p.example.com', '/'));
  expect(new Set(await Promise.all([...flood, ...others]))).toEqual(new Set([200]));
});
