import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { expect, test } from 'vitest';
import { certificateRequest } from './certificate-request.ts';

/** What OpenSSL reads in the request, after it has checked the signature. */
const read = (host: string, key: KeyObject): string =>
  String(
    execFileSync('openssl', ['req', '-inform', 'DER', '-verify', '-noout', '-text'], {
      input: certificateRequest(host, key),
      stdio: ['pipe', 'pipe', 'ignore'],
    }),
  );

const ecdsa = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

test.each([
  ['a name', 'shop.example.com', 'DNS:shop.example.com'],
  ['a wildcard', '*.example.com', 'DNS:*.example.com'],
  ['a name of 200 characters', `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example.com`, 'DNS:aaa'],
])('OpenSSL reads a request for %s', (_, host, name) => {
  expect(read(host, ecdsa)).toContain(name);
});

test('OpenSSL reads a request with an RSA key', () => {
  expect(read('shop.example.com', rsa)).toMatch(/Public-Key: \(2048 bit\)[\s\S]*DNS:shop\.example\.com/);
});
