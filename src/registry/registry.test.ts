import { expect, test } from 'vitest';
import { revision } from '../model/revision.ts';
import { type HistoryPoint, historyOf } from './registry.ts';

const at = (n: bigint, more: Partial<HistoryPoint> = {}): HistoryPoint => ({
  cluster: 'a',
  revision: revision(n),
  ...more,
});

test('nothing known before: it is the first', () => {
  expect(historyOf(undefined, at(7n))).toEqual({ kind: 'first' });
});

test('the same or a later revision of the same cluster continues what was known', () => {
  expect(historyOf(at(7n), at(7n))).toEqual({ kind: 'continued' });
  expect(historyOf(at(7n, { term: 2n }), at(9n, { term: 5n }))).toEqual({ kind: 'continued' });
});

test.each([
  ['another cluster', at(7n), at(9n, { cluster: 'b' }), 'another cluster'],
  ['a revision that went back', at(7n), at(6n), 'the revision went back from 7 to 6'],
  ['a term that went back', at(7n, { term: 3n }), at(9n, { term: 2n }), "raft's term went back from 3 to 2"],
])('%s replaces what was known', (_, before, now, reason) => {
  expect(historyOf(before, now)).toEqual({ kind: 'replaced', reason: expect.stringContaining(reason) });
});
