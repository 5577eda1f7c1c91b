import { expect, test } from 'vitest';
import { parsePolicy } from '../policy.ts';

const reasonOf = (policy: object): string => {
  const parsed = parsePolicy(JSON.stringify(policy));
  return parsed.ok ? 'accepted' : parsed.reason;
};

test.each([
  [{ rewrite: { from: '/a' } }, 'to: it is missing'],
  [{ rewrite: { to: '/a' } }, 'it needs "from" or "regex"'],
  [{ rewrite: { from: '/a', regex: '^/a', to: '/b' } }, 'cannot be next to "from"'],
  [{ rewrite: { from: '/a', to: 'b' } }, 'is not a path'],
  [{ rewrite: { from: '/a', to: '/b%[src]' } }, 'is not a path'],
  [{ rewrite: { from: '/a', to: '/../b' } }, 'clients resolve'],
  [{ rewrite: { from: '/a', to: '/$1' } }, 'only a regular expression'],
  [{ rewrite: { regex: '^/(a)$', to: '/$2' } }, 'has no group for $2'],
  [{ rewrite: { regex: '^/(a|b+)+$', to: '/$1' } }, 'is repeated'],
  [{ rewrite: [] }, 'rewrite'],
  [{ redirect: {} }, 'it needs one of'],
  [{ redirect: { status: 304, host: 'a.example' } }, 'redirect.status'],
  [{ redirect: { port: 80, to: '/a' } }, 'it needs a "host"'],
  [{ redirect: { host: 'A.example' } }, 'is not a host'],
  [{ redirect: { host: 'a.example/x' } }, 'is not a host'],
  [{ redirect: { from: '/a', to: '/a/b' } }, 'again and again'],
  [{ redirect: { from: '/', to: '/a' } }, 'again and again'],
  [{ mode: 'tcp', port: 6000, redirect: { host: 'a.example' } }, 'only an http service'],
  [{ mode: 'tcp', port: 6000, match: { method: 'GET' } }, 'only an http service'],
])('the policy %j is refused', (policy, reason) => {
  expect(reasonOf(policy)).toContain(reason);
});

test.each([
  { rewrite: { from: '/', to: '/a' } },
  { rewrite: { regex: '^/(a)$', to: '/%25$1' } },
  { redirect: { from: '/a', to: '/a/b', host: 'b.example' } },
  { redirect: { from: '/a', to: '/ab' } },
  { redirect: { host: 'a.example', port: 8443, trailingSlash: 'add', status: 301 } },
])('the policy %j is accepted', (policy) => {
  expect(reasonOf(policy)).toBe('accepted');
});
