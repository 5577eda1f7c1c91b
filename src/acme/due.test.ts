import { expect, test } from 'vitest';
import type { OrderRecord } from '../model/acme/order-record.ts';
import { dueOf, type HostState, type KnownCertificate } from './due.ts';

const authority = 'https://ca.example.com/dir';
const now = Date.parse('2026-06-01T00:00:00Z');
const day = 86_400_000;
const at = (days: number): string => new Date(now + days * day).toISOString();

const certificate = (more: Partial<KnownCertificate['stored']> = {}): KnownCertificate => ({
  stored: {
    ...{ certificate: '', key: '', issuedAt: at(-30), authority, renewAt: at(10), renewBy: 'lifetime' },
    ...more,
  },
  validity: { from: now - 30 * day, until: now + 60 * day },
  canOpen: true,
});

const record = (more: Partial<OrderRecord> = {}): OrderRecord => ({
  ...{ reason: 'first', stage: 'waiting', order: undefined, key: undefined, authority, failures: 1, error: 'no' },
  ...{ nextTry: undefined, ...more },
});

const state = (more: Partial<HostState> = {}): HostState => ({
  ...{ certificate: undefined, record: undefined, asked: false },
  ...more,
});

const due = (more: Partial<HostState>) => dueOf(state(more), authority, now);

test('a host without a certificate is ordered', () => {
  expect(due({})).toEqual({ kind: 'order', reason: 'first' });
});

test('a certificate is renewed at its time, and not before', () => {
  expect(due({ certificate: certificate() })).toEqual({ kind: 'wait', until: now + 10 * day });
  expect(due({ certificate: certificate({ renewAt: at(-1) }) })).toEqual({ kind: 'order', reason: 'renewal' });
});

test('a certificate that a person wrote is renewed at two thirds of its lifetime', () => {
  const own = certificate({ authority: undefined, renewAt: undefined, renewBy: undefined });
  expect(due({ certificate: own })).toEqual({ kind: 'wait', until: now + 30 * day });
});

test.each(['2099-01-01T00:00:00Z', at(59)])(
  'a renewal at %s is too late: two thirds of the lifetime count',
  (renewAt) => {
    expect(due({ certificate: certificate({ renewAt }) })).toEqual({ kind: 'wait', until: now + 30 * day });
  },
);

test('a next try after more than a week is no time that a leader wrote, so the host is tried now', () => {
  expect(due({ record: record({ nextTry: at(7) }) })).toEqual({ kind: 'wait', until: now + 7 * day });
  expect(due({ record: record({ nextTry: at(8) }) })).toEqual({ kind: 'order', reason: 'first' });
});

test('a certificate that was ordered just now rests, although its time is over', () => {
  const soon = { renewAt: at(-1), issuedAt: at(0) };
  expect(due({ certificate: certificate(soon) })).toEqual({ kind: 'wait', until: now + 1.5 * day });
  expect(due({ certificate: certificate(soon), asked: true })).toEqual({ kind: 'order', reason: 'asked' });
  // A clock that was wrong must not stop renewals.
  expect(due({ certificate: certificate({ ...soon, issuedAt: at(300) }) }).kind).toBe('order');
  expect(due({ certificate: certificate({ ...soon, authority: undefined }) }).kind).toBe('order');
});

test('a certificate of another authority is ordered again', () => {
  const other = certificate({ authority: 'https://staging.example.com/dir' });
  expect(due({ certificate: other })).toEqual({ kind: 'order', reason: 'renewal' });
});

test('a failed host waits for its next try, unless an operator asks', () => {
  const failed = { record: record({ nextTry: at(1) }) };
  expect(due(failed)).toEqual({ kind: 'wait', until: now + day });
  expect(due({ ...failed, asked: true })).toEqual({ kind: 'order', reason: 'asked' });
});

test('an order that an operator asked for is tried again although the certificate is valid', () => {
  const failed = record({ reason: 'asked', nextTry: at(-1) });
  expect(due({ certificate: certificate(), record: failed })).toEqual({ kind: 'order', reason: 'asked' });
});

test('an order under way goes on, with its reason', () => {
  const underWay = record({ reason: 'renewal', stage: 'answered', order: 'https://ca.example.com/1', key: 'v1.x.y' });
  expect(due({ certificate: certificate(), record: underWay })).toEqual({ kind: 'order', reason: 'renewal' });
});

test('an order at another authority does not go on', () => {
  const underWay = record({
    order: 'https://other.example.com/1',
    key: 'k',
    authority: 'https://other.example.com/dir',
  });
  expect(due({ certificate: certificate(), record: underWay }).kind).toBe('wait');
});

test('a certificate that cannot be opened is not ordered again, unless an operator asks', () => {
  const closed = { ...certificate({ renewAt: at(-1) }), canOpen: false };
  expect(due({ certificate: closed })).toMatchObject({
    kind: 'stuck',
    reason: expect.stringMatching(/--sealing-keys/),
  });
  expect(due({ certificate: closed, asked: true })).toEqual({ kind: 'order', reason: 'asked' });
});
