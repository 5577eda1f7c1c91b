import { expect, test } from 'vitest';
import { hostOfCopy, nameOfCopy } from './copy-names.ts';

test.each(['shop.example.com', '*.example.com', '_acme.a-b.example', 'a_2a.example', '10.0.0.1', '2001:db8::1'])(
  'the copy of %s has a name without characters that need quotes, and leads back to it',
  (host) => {
    expect(nameOfCopy(host)).toMatch(/^[a-z0-9._-]+$/);
    expect(hostOfCopy(nameOfCopy(host))).toBe(host);
  },
);

test.each([
  '',
  '../etc/passwd',
  'a/b',
  'SHOP.example.com',
  'shop example',
  'ünder.example',
  'a\nb',
  '.hidden',
  `${'a.'.repeat(130)}com`,
])('%j is no host that has a copy', (host) => {
  expect(hostOfCopy(nameOfCopy(host))).toBeUndefined();
});

test('different hosts have different copies', () => {
  const hosts = ['*.example.com', '_2a.example.com', '_5f2a.example.com', '_.example.com'];
  expect(new Set(hosts.map(nameOfCopy)).size).toBe(hosts.length);
});

test.each(['list', 'shop.pem.part', '.shop.pem.0123456789ab', 'Shop.pem', '_zz.pem'])('%s is no copy', (name) => {
  expect(hostOfCopy(name)).toBeUndefined();
});
