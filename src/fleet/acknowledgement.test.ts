import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { revision } from '../model/revision.ts';
import {
  type Acknowledgement,
  formatAcknowledgement,
  listFairly,
  mostDraining,
  mostRefusals,
  mostUnproven,
  mostUnrouted,
  type OpenRequests,
  ownerOf,
  parseAcknowledgement,
} from './acknowledgement.ts';

const plain: Acknowledgement = {
  revision: revision(7n),
  cluster: 'c',
  owner: 'o-1',
  version: '0.2.0',
  haproxyVersion: '2.6.12',
  config: 'abc',
  admin: '10.0.0.1:8404',
  appliedAt: '2026-01-01T00:00:00.000Z',
  draining: new Map<string, OpenRequests>([
    ['web/a', 2],
    ['web/b', 'unknown'],
  ]),
  refusals: [{ key: 'instances/web/x', reason: 'no port' }],
  unproven: new Map([['web', ['c']]]),
  conflicts: new Map([['web', 'web does not get the host a: no claim allows it']]),
  unrouted: new Map([['shop', 'web has its host']]),
  untold: new Map(),
  unlisted: new Map(),
};

const fields = (change: Record<string, unknown>): string =>
  JSON.stringify({ ...JSON.parse(formatAcknowledgement(plain)), ...change });

describe('an acknowledgement', () => {
  test('is read back as it was written', () => {
    expect(parseAcknowledgement(formatAcknowledgement(plain))).toEqual({ ok: true, value: plain });
    const bare: Acknowledgement = { ...plain, admin: undefined, draining: undefined, refusals: [] };
    expect(parseAcknowledgement(formatAcknowledgement(bare))).toEqual({ ok: true, value: bare });
  });

  test('may say more than we know', () => {
    expect(parseAcknowledgement(fields({ quarantined: ['web'], load: { now: 1 } }))).toEqual({
      ok: true,
      value: plain,
    });
  });

  test('of another format is refused, and still has an owner', () => {
    const value = fields({ format: 2, revision: [7] });
    expect(parseAcknowledgement(value)).toEqual({ ok: false, reason: 'it is not of format 1' });
    expect(ownerOf(value)).toBe('o-1');
  });

  test.each([
    ['a revision that is a number', { revision: 7 }, 'revision'],
    ['a negative count', { draining: { 'web/a': -1 } }, 'draining.web/a'],
    ['an owner with a space', { owner: 'a b' }, 'owner'],
  ])('with %s is refused', (_, change, where) => {
    expect(parseAcknowledgement(fields(change))).toEqual({
      ok: false,
      reason: `its ${where} is not valid`,
    });
  });

  test('shows a terminal nothing that steers it', () => {
    const parsed = parseAcknowledgement(
      fields({ refusals: [{ key: 'a\u001b[2J', reason: '\u0007bell' }], unrouted: { web: '\u001b' } }),
    );
    expect(parsed.ok && parsed.value.refusals).toEqual([{ key: 'a?[2J', reason: '?bell' }]);
    expect(parsed.ok && parsed.value.unrouted).toEqual(new Map([['web', '?']]));
  });

  test('is bounded, however much there is to say', () => {
    const draining = new Map(Array.from({ length: 9000 }, (_, i): [string, number] => [`web/web-${i}`, 0]));
    const refusals = Array.from({ length: 900 }, (_, i) => ({ key: `instances/web/${i}`, reason: 'x'.repeat(4000) }));
    const unrouted = new Map(refusals.map(({ reason }, i): [string, string] => [`web-${i}`, reason]));
    const value = formatAcknowledgement({ ...plain, draining, refusals, unrouted });
    const parsed = parseAcknowledgement(value);
    expect(parsed.ok && parsed.value.draining?.size).toBe(mostDraining);
    expect(parsed.ok && parsed.value.draining?.has('web/web-8999')).toBe(true);
    expect(parsed.ok && parsed.value.unlisted.get('web')).toBe(4000);
    expect(parsed.ok && parsed.value.unlisted.get('*')).toBe(701);
    expect(parsed.ok && parsed.value.unrouted.size).toBe(mostUnrouted);
    expect(parsed.ok && parsed.value.refusals).toHaveLength(mostRefusals);
    expect(value.length).toBeLessThan(250_000);
  });

  // Otherwise one key of one service would make the whole acknowledgement unreadable, or larger than etcd takes.
  test('is readable and small, however long the keys are that the balancer refuses', () => {
    const long = (begin: string) => ({ key: begin + 'x'.repeat(1_000_000), reason: 'too long' });
    const keys = ['instances/evil/', 'instances/', 'anything'].flatMap((begin) => Array(30).fill(long(begin)));
    const ours = { key: 'instances/web/x', reason: 'no port' };
    const told = listFairly([...keys, ours]);
    const value = formatAcknowledgement({ ...plain, ...told });
    expect(value.length).toBeLessThan(50_000);
    const read = parseAcknowledgement(value);
    expect(read).toMatchObject({ ok: true, value: { refusals: expect.arrayContaining([ours]) } });
    // A balancer of an earlier version does not cut them.
    const uncut = fields({ refusals: [long('instances/evil/'), ours] });
    expect(parseAcknowledgement(uncut)).toMatchObject({ ok: true, value: { refusals: [{}, ours] } });
  });

  test('that is anything at all is read or refused, never thrown at', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (value) => {
        parseAcknowledgement(value);
        ownerOf(value);
      }),
    );
  });
});

const refusalsOf = (service: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `instances/${service}/i${i}`, reason: 'bad' }));

test('lists of instances have room for small services first, and say how many of which service they leave out', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, i) => `i${i}`);
  const drains = ['web/w1', ...ids(5001).map((id) => `evil/${id}`)];
  const value = formatAcknowledgement({
    ...plain,
    draining: new Map(drains.map((name): [string, number] => [name, 1])),
    unproven: new Map([
      ['evil', ids(3000)],
      ['web', ids(200)],
    ]),
  });
  const parsed = parseAcknowledgement(value);
  if (!parsed.ok) throw new Error(parsed.reason);
  const { draining, unproven, unlisted } = parsed.value;
  expect([draining?.size, draining?.has('web/w1')]).toEqual([mostDraining, true]);
  expect([unproven.get('web')?.length, unproven.get('evil')?.length]).toEqual([200, mostUnproven - 200]);
  expect([...unlisted]).toEqual([['evil', 2 + 1200]]);
});

test('many refusals of one service hide none of another, and how many are not told is', () => {
  const { refusals, untold } = listFairly([...refusalsOf('evil', 12_000), ...refusalsOf('web', 2)]);
  expect(refusals).toHaveLength(50);
  expect(refusals).toEqual(expect.arrayContaining(refusalsOf('web', 2)));
  expect([...untold]).toEqual([['evil', 11_952]]);
  expect(listFairly(refusalsOf('web', 50)).untold).toEqual(new Map());
  // Keys of no service are no services of their own.
  const rubbish = Array.from({ length: 1000 }, (_, i) => ({ key: `rubbish/${i}/x`, reason: 'bad' }));
  const beside = listFairly([...rubbish, ...refusalsOf('web', 2)]);
  expect(beside.refusals).toEqual(expect.arrayContaining(refusalsOf('web', 2)));
  expect([...beside.untold]).toEqual([['', 952]]);
});
