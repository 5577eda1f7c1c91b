import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { keyAuthorization, signRequest } from './jws.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const header = { url: 'https://ca.example.com/order', nonce: 'n-1', account: 'https://ca.example.com/account/1' };
const decode = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());

test('a request is signed over its header and its payload', () => {
  const signed = signRequest({ a: 1 }, header, privateKey);
  expect(decode(signed.protected)).toEqual({ alg: 'ES256', nonce: 'n-1', url: header.url, kid: header.account });
  expect(decode(signed.payload)).toEqual({ a: 1 });
  const key = { key: createPublicKey(privateKey), dsaEncoding: 'ieee-p1363' } as const;
  const text = Buffer.from(`${signed.protected}.${signed.payload}`);
  expect(verify('sha256', text, key, Buffer.from(signed.signature, 'base64url'))).toBe(true);
});

test('a request without an account has the public key instead, and nothing of the private one', () => {
  const head = decode(signRequest({}, { ...header, account: undefined }, privateKey).protected);
  expect(head).toMatchObject({ jwk: { crv: 'P-256', kty: 'EC' } });
  expect(JSON.stringify(head)).not.toMatch(/"d":/);
});

test('a request that only reads has an empty payload', () => {
  expect(signRequest(undefined, header, privateKey).payload).toBe('');
});

test('a key authorization is the token and a thumbprint of 32 bytes', () => {
  expect(keyAuthorization('tok', privateKey)).toMatch(/^tok\.[A-Za-z0-9_-]{43}$/);
});
