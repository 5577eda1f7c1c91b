import { generateKeyPairSync, randomBytes } from 'node:crypto';
import pino from 'pino';
import { expect, test } from 'vitest';
import { orderKey, renewalKey } from '../model/acme/keys.ts';
import { formatOrderRecord } from '../model/acme/order-record.ts';
import { parseSealingKeys } from '../model/acme/sealing.ts';
import { revision } from '../model/revision.ts';
import { Ordering, type OrderingParts } from './ordering.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { withHint } from './proving.ts';
import { sealKey } from './seal-key.ts';

const host = 'shop.example.com';
const directory = 'https://ca.example.com/dir';

/** Goes on with an order that is valid, and whose certificate the authority refuses with this status. */
function attempt(status: number, asked: boolean) {
  const sealing = parseSealingKeys(randomBytes(32).toString('base64'));
  if (!sealing.ok) throw new Error(sealing.reason);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const record = formatOrderRecord({
    ...{ reason: 'first', stage: 'finalized', order: 'https://ca.example.com/o/1', authority: directory, failures: 1 },
    ...{ key: sealKey(pem, orderKey(host), sealing.value), error: 'no', nextTry: undefined },
  });
  const values = new Map([[orderKey(host), record], ...(asked ? [[renewalKey(host), '{}'] as const] : [])]);
  const order = { status: 'valid', authorizations: [], finalize: '', certificate: 'https://ca.example.com/c/1' };
  const parts = {
    ...{ directory, sealingKeys: sealing.value, keyType: 'ecdsa', logger: pino({ level: 'silent' }) },
    ...{ signal: new AbortController().signal, wall: () => new Date(), random: () => 0, proofs: {} },
    account: { run: (call: (signer: object) => unknown) => call({}) },
    authority: {
      order: async () => order,
      newOrder: () => Promise.reject(new Error('another order is made')),
      certificate: () => Promise.reject(new AuthorityError('not there', { kind: 'refused', status })),
    },
    entries: {
      get: (key: string) => {
        const value = values.get(key);
        return value === undefined ? undefined : { value, revision: revision(1n) };
      },
      write: async () => undefined,
    },
  };
  return new Ordering(parts as unknown as OrderingParts).order(host, 'first', (wait) => wait());
}

test('an order whose certificate the authority refuses has ended, unless it only asks to wait', async () => {
  await expect(attempt(404, false)).rejects.toMatchObject({ name: 'OrderEnded', message: 'not there' });
  await expect(attempt(429, false)).rejects.toMatchObject({ name: 'AuthorityError' });
});

test('an operator who asks gets another order than the one under way', async () => {
  await expect(attempt(404, true)).rejects.toThrow('another order is made');
});

test('a wrong answer to HTTP-01 hints at a balancer that nobody counts any more', () => {
  expect(withHint('unauthorized: 404', 'http-01')).toMatch(/^unauthorized: 404 \(.*not in `pointsman status`/);
  expect(withHint('dns: no such name', 'http-01')).toBe('dns: no such name');
  expect(withHint('unauthorized: no TXT record', 'dns-01')).toBe('unauthorized: no TXT record');
});
