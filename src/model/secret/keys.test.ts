import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseKeys } from './keys.ts';

const rsa = (modulusLength = 2048) => generateKeyPairSync('rsa', { modulusLength });
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const read = (...keys: readonly object[]) => {
  const parsed = parseKeys(JSON.stringify({ keys }));
  return parsed.ok ? parsed.value.map(({ id, algorithms }) => ({ id, algorithms })) : parsed.reason;
};

test('a key is for the algorithms of its kind, or for its own alg', () => {
  const jwk = rsa().publicKey.export({ format: 'jwk' });
  expect(
    read({ ...jwk, kid: 'a' }, { ...jwk, kid: 'b', alg: 'RS512' }, ec('secp384r1').publicKey.export({ format: 'jwk' })),
  ).toEqual([
    { id: 'a', algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] },
    { id: 'b', algorithms: ['RS512'] },
    { id: undefined, algorithms: ['ES384'] },
  ]);
  expect(read({ kty: 'oct', k: Buffer.alloc(48, 1).toString('base64url') })).toEqual([
    { id: undefined, algorithms: ['HS256', 'HS384'] },
  ]);
});

test('keys that are for something else, weak or private are left out', () => {
  const none = 'it has no key that can verify tokens: RSA, EC (P-256, P-384, P-521) or oct';
  const jwk = rsa().publicKey.export({ format: 'jwk' });
  expect(read({ ...jwk, use: 'enc' })).toBe(none);
  expect(read({ ...jwk, kid: 'a b' })).toBe(none);
  expect(read({ ...jwk, alg: 'HS256' })).toBe(none);
  expect(read(rsa(1024).publicKey.export({ format: 'jwk' }))).toBe(none);
  expect(read(rsa().privateKey.export({ format: 'jwk' }))).toBe(none);
  expect(read({ kty: 'oct', k: 'c2hvcnQ' })).toBe(none);
  expect(read({ kty: 'OKP', crv: 'Ed25519', x: 'abc' })).toBe(none);
});

test('a file with a private key is refused', () => {
  const { publicKey, privateKey } = ec('prime256v1');
  const pem = String(publicKey.export({ type: 'spki', format: 'pem' }));
  expect(parseKeys(`# ours\n${pem}`)).toMatchObject({ ok: true, value: [{ algorithms: ['ES256'] }] });
  const both = pem + String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  expect(parseKeys(both)).toMatchObject({ ok: false, reason: expect.stringContaining('private key') });
});

test('a file that is no JWKS is refused', () => {
  expect(parseKeys('{')).toEqual({ ok: false, reason: 'it is not JSON' });
  expect(parseKeys('{}')).toMatchObject({ ok: false, reason: expect.stringContaining('JWKS') });
});
