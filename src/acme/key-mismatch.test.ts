import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { formatAccount } from '../model/acme/account.ts';
import { accountKey, certificateKey } from '../model/acme/keys.ts';
import { parseSealingKeys, type SealingKeys } from '../model/acme/sealing.ts';
import { formatStoredCertificate } from '../model/acme/stored-certificate.ts';
import { keyMismatchOf } from './key-mismatch.ts';
import { sealKey } from './seal-key.ts';

const directory = 'https://ca.example.com/dir';

function newKeys(): SealingKeys {
  const keys = parseSealingKeys(randomBytes(32).toString('base64'));
  if (!keys.ok) throw new Error(keys.reason);
  return keys.value;
}

const [own, other] = [newKeys(), newKeys()];

const account = (keys: SealingKeys, authority = directory) => ({
  key: accountKey,
  value: formatAccount({ authority, url: undefined, by: undefined, key: sealKey('secret', accountKey, keys) }),
});

const certificate = (host: string, keys: SealingKeys, authority: string | undefined = directory) => ({
  key: certificateKey(host),
  value: formatStoredCertificate({
    ...{ certificate: 'pem', key: sealKey('secret', certificateKey(host), keys), authority },
    ...{ issuedAt: '2026-11-30T00:00:00.000Z', renewAt: undefined, renewBy: undefined },
  }),
});

test('a balancer does not lead with keys that open neither the account nor any ordered certificate', () => {
  expect(keyMismatchOf([account(other)], directory, own)).toMatch(/^the private key of acme\/account cannot be opened/);
  expect(keyMismatchOf([certificate('a.example.com', other)], directory, own)).toMatch(/no ordered certificate/);
});

test('a balancer leads with keys that open what there is, and leaves single certificates aside', () => {
  const entries = [account(own), certificate('a.example.com', own), certificate('b.example.com', other)];
  expect(keyMismatchOf(entries, directory, own)).toBeUndefined();
  expect(keyMismatchOf([], directory, own)).toBeUndefined();
  // An account of a former authority is of no use any more.
  expect(keyMismatchOf([account(other, 'https://old.example.com/dir')], directory, own)).toBeUndefined();
});
