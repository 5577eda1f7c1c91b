import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { formatAccount, parseAccount } from '../model/acme/account.ts';
import { formatChallenge } from '../model/acme/challenge.ts';
import {
  accountKey,
  certificateKey,
  challengeKey,
  hostOfCertificate,
  orderKey,
  renewalKey,
} from '../model/acme/keys.ts';
import { formatOrderRecord, type OrderRecord } from '../model/acme/order-record.ts';
import { isSealedWithFirst, open, parseSealingKeys, type SealingKeys } from '../model/acme/sealing.ts';
import {
  formatStoredCertificate,
  parseStoredCertificate,
  type StoredCertificate,
} from '../model/acme/stored-certificate.ts';
import { revision } from '../model/revision.ts';
import type { Due } from './due.ts';
import type { Seen } from './leader-entries.ts';
import { sealKey } from './seal-key.ts';
import { upkeepOf } from './upkeep.ts';

const now = Date.parse('2026-06-01T00:00:00Z');
const host = 'shop.example.com';
const authority = 'https://ca.example.com/dir';
const keyLines = [randomBytes(32), randomBytes(32)].map((bytes) => bytes.toString('base64'));
const keysOf = (...lines: readonly (string | undefined)[]): SealingKeys => {
  const parsed = parseSealingKeys(lines.join('\n'));
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};
const sealingKeys = keysOf(keyLines[0]);

type Fields = {
  readonly orders?: Readonly<Record<string, Partial<OrderRecord>>>;
  readonly challenges?: Readonly<Record<string, string>>;
  readonly wishes?: readonly string[];
  readonly certificates?: Readonly<Record<string, { readonly stored: StoredCertificate; readonly until: number }>>;
  readonly account?: string;
  readonly due?: Readonly<Record<string, Due>>;
  readonly running?: readonly string[];
  readonly keys?: SealingKeys;
  /** What the registry has lost, and why it counts. */
  readonly lost?: Readonly<Record<string, 'replaced' | 'deleted'>>;
  readonly canOpen?: boolean;
};

const seen = (value: string): Seen => ({ value, revision: revision(7n) });

/** The keys that are written or removed, and the values. */
function upkeep(fields: Fields): ReadonlyMap<string, string | undefined> {
  const { orders = {}, challenges = {}, wishes = [], certificates = {}, account, due = {}, running = [] } = fields;
  const { lost = {}, canOpen = true } = fields;
  const record = { reason: 'first', stage: 'waiting', authority, failures: 1 } as const;
  const entries = {
    get: (key: string) => (key === accountKey && account !== undefined ? seen(account) : undefined),
    orders: () =>
      Object.entries(orders).map(([name, more]) => {
        const whole = { order: undefined, key: undefined, error: undefined, nextTry: undefined, ...record, ...more };
        return [name, seen(formatOrderRecord(whole))] as const;
      }),
    challenges: () =>
      Object.entries(challenges).map(([token, name]) => {
        return [token, seen(formatChallenge({ host: name, answer: `${token}.${'a'.repeat(43)}` }))] as const;
      }),
    renewals: () => wishes.map((name) => [name, seen('{}')] as const),
    certificates: () =>
      Object.entries(certificates)
        .filter(([name]) => lost[name] === undefined)
        .map(([name, { stored }]) => [name, seen(formatStoredCertificate(stored))] as const),
  };
  const found = upkeepOf({
    ...{ entries, now, sealingKeys: fields.keys ?? sealingKeys },
    due: new Map(Object.entries(due)),
    isRunning: (name) => running.includes(name),
    known: (name) => {
      const one = certificates[name];
      return one && { stored: one.stored, validity: { from: 0, until: one.until }, canOpen };
    },
    held: (key) => {
      const name = hostOfCertificate(key) ?? '';
      const [one, kind] = [certificates[name], lost[name]];
      if (one === undefined || kind === undefined) return undefined;
      return { ...seen(formatStoredCertificate(one.stored)), held: { kind, reason: '', at: 0, until: undefined } };
    },
  });
  return new Map(found.map(({ key, value }) => [key, value]));
}

const stored = (more: Partial<StoredCertificate> = {}): StoredCertificate => ({
  ...{
    certificate: 'PEM',
    key: sealKey('secret', certificateKey(host), sealingKeys),
    issuedAt: '2026-01-01T00:00:00Z',
  },
  ...{ authority, renewAt: undefined, renewBy: undefined, ...more },
});
const waits: Due = { kind: 'wait', until: now + 1000 };
const orders: Due = { kind: 'order', reason: 'first' };

test('the record of an order is removed when its host needs no certificate, or has one', () => {
  expect([...upkeep({ orders: { [host]: {} } }).keys()]).toEqual([orderKey(host)]);
  expect([...upkeep({ orders: { [host]: {} }, due: { [host]: waits } }).keys()]).toEqual([orderKey(host)]);
  expect(upkeep({ orders: { [host]: {} }, due: { [host]: orders } }).size).toBe(0);
  expect(upkeep({ orders: { [host]: {} }, running: [host] }).size).toBe(0);
});

test('a failed host that comes back is not tried sooner for it', () => {
  expect(upkeep({ orders: { [host]: { nextTry: new Date(now + 1000).toISOString() } } }).size).toBe(0);
});

test('an answer that a former leader left is removed, and that of an order under way is kept', () => {
  expect([...upkeep({ challenges: { tok: host } }).keys()]).toEqual([challengeKey('tok')]);
  expect(upkeep({ challenges: { tok: host }, running: [host] }).size).toBe(0);
});

test('a wish for a host that needs no certificate is removed', () => {
  expect([...upkeep({ wishes: [host] }).keys()]).toEqual([renewalKey(host)]);
  expect(upkeep({ wishes: [host], due: { [host]: orders } }).size).toBe(0);
});

test('an ordered certificate is removed when its host needs none and it has ended', () => {
  const ended = { [host]: { stored: stored(), until: now - 1 } };
  expect([...upkeep({ certificates: ended })]).toEqual([[certificateKey(host), undefined]]);
  expect(upkeep({ certificates: ended, due: { [host]: orders } }).size).toBe(0);
  expect(upkeep({ certificates: { [host]: { stored: stored(), until: now + 1 } } }).size).toBe(0);
  // A person wrote it, and a person removes it.
  expect(upkeep({ certificates: { [host]: { stored: stored({ authority: undefined }), until: now - 1 } } }).size).toBe(
    0,
  );
});

test('private keys are sealed again with the first sealing key, and open as before', () => {
  const rotated = keysOf(keyLines[1], keyLines[0]);
  const account = formatAccount({
    authority,
    url: 'https://ca.example.com/1',
    by: 'lb-1',
    key: sealKey('mine', accountKey, sealingKeys),
  });
  const found = upkeep({
    certificates: { [host]: { stored: stored(), until: now + 1 } },
    account,
    keys: rotated,
    due: { [host]: waits },
  });
  const certificate = parseStoredCertificate(found.get(certificateKey(host)) ?? '');
  const again = parseAccount(found.get(accountKey) ?? '');
  if (!certificate.ok || !again.ok) throw new Error('both are written');
  expect(isSealedWithFirst(certificate.value.key, rotated)).toBe(true);
  expect(open(certificate.value.key, certificateKey(host), rotated)).toEqual({ ok: true, value: 'secret' });
  expect(open(again.value.key, accountKey, rotated)).toEqual({ ok: true, value: 'mine' });
});

test('nothing is sealed again without a rotation', () => {
  expect(upkeep({ certificates: { [host]: { stored: stored(), until: now + 1 } }, due: { [host]: waits } }).size).toBe(
    0,
  );
});

test.each([
  ['that a replaced registry has lost is written back', {}, true],
  ['that people deleted at once is not written back', { lost: { [host]: 'deleted' } }, false],
  ['that is lost, and cannot be opened, is not written back', { canOpen: false }, false],
  ['that is lost, and is being ordered, is not written back', { running: [host] }, false],
  ['that is lost, and is due, is not written back', { due: { [host]: { kind: 'order', reason: 'renewal' } } }, false],
  ['that is lost, and that no host asks for, is not written back', { due: {} }, false],
] as const)('a certificate %s', (_, more: Fields, isBack) => {
  const certificate = stored();
  const found = upkeep({
    certificates: { [host]: { stored: certificate, until: now + 1 } },
    due: { [host]: { kind: 'wait', until: now + 1 } },
    lost: { [host]: 'replaced' },
    ...more,
  });
  expect(found).toEqual(new Map(isBack ? [[certificateKey(host), formatStoredCertificate(certificate)]] : []));
});
