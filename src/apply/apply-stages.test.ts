import { describe, expect, test } from 'vitest';
import type { Declared } from '../declarations/declared.ts';
import { revision } from '../model/revision.ts';
import { parseSetName } from '../model/set-name.ts';
import type { Entry } from '../registry/registry.ts';
import { changeBytes, transactionLimits } from '../registry/registry.ts';
import { type Stage, stagesOf } from './apply-stages.ts';
import { readOwnership } from './ownership.ts';
import { planApply } from './plan-apply.ts';

const limit = transactionLimits.operations - 1;
const place = { file: 'a.yaml', line: 1, column: 1 };
const declared = (key: string, value: string): Declared => ({
  ...{ key, value, place, placeOf: () => place, flawAt: () => place },
});
const entry = (key: string, value: string): Entry => ({ key, value, revision: revision(3n), leased: false });

function stages(wanted: readonly Declared[], there: readonly Entry[] = []): readonly Stage[] {
  const set = parseSetName('shop');
  if (!set.ok) throw new Error(set.reason);
  const listing = { revision: revision(3n), cluster: 'c', entries: there };
  const plan = planApply(wanted, listing, { set: set.value, prune: true, take: true, maxPrune: 100_000 });
  expect(plan.problems).toEqual([]);
  return stagesOf(plan);
}

const many = (count: number, area = 'keys/x') => Array.from({ length: count }, (_, index) => `${area}/${index}`);
const size = ({ changes, parts }: Stage) => changes.length + parts.length;
const record = (keys: readonly string[]) => entry('sets/shop/1', JSON.stringify({ keys }));

describe('the transactions of an apply', () => {
  test('are one, as long as the limits allow it', () => {
    const wanted = many(limit - 1).map((key) => declared(key, '1'));
    expect(stages(wanted).map(size)).toEqual([limit]);
    expect(stages([]).length).toBe(0);
  });

  test('are as few as the limits allow, each within them', () => {
    const wanted = many(1000).map((key) => declared(key, '1'));
    expect(stages(wanted)).toHaveLength(Math.ceil(1001 / limit));
    const large = many(10).map((key) => declared(key, 'x'.repeat(500_000)));
    for (const stage of [...stages(wanted), ...stages(large)]) {
      expect(size(stage)).toBeLessThanOrEqual(limit);
      const bytes = [...stage.changes, ...stage.parts.map((part) => ({ ...part, since: undefined }))].map(changeBytes);
      expect(bytes.reduce((sum, one) => sum + one)).toBeLessThanOrEqual(transactionLimits.bytes);
    }
    expect(stages(large)).toHaveLength(5);
  });

  test('say first what the set owns, and last what it does not own any more, so that an end in the middle leaves nothing without an owner', () => {
    const old = many(200, 'keys/old');
    const result = stages(
      many(200).map((key) => declared(key, '1')),
      [record(old), ...old.map((key) => entry(key, '1'))],
    );
    const now = new Map([record(old), ...old.map((key) => entry(key, '1'))].map((one) => [one.key, one]));
    for (const { changes, parts } of result) {
      for (const { key, value } of [...changes, ...parts]) {
        if (value === undefined) now.delete(key);
        else now.set(key, entry(key, value));
      }
      const ownership = readOwnership(now.values());
      const free = [...now.keys()].filter(
        (key) => key.startsWith('keys/') && ownership.ok && !ownership.value.ownerOf(key),
      );
      expect(free).toEqual([]);
    }
    expect([...now.keys()].filter((key) => key.startsWith('keys/')).sort()).toEqual(many(200).sort());
  });

  test('keep policies together between which a host moves', () => {
    const there = many(300, 'services/s').map(
      (_, index) => [`services/s${index}`, `{"hosts":["${index}.test"]}`] as const,
    );
    const moved = there.map(([key], index) => declared(key, `{"hosts":["${(index + 150) % 300}.test"]}`));
    const result = stages(moved, [
      record(there.map(([key]) => key)),
      ...there.map(([key, value]) => entry(key, value)),
    ]);
    const stageOf = new Map(result.flatMap(({ changes }, index) => changes.map(({ key }) => [key, index])));
    for (let index = 0; index < 150; index += 1) {
      expect(stageOf.get(`services/s${index}`)).toBe(stageOf.get(`services/s${index + 150}`));
    }
    expect(result.length).toBe(3);
  });

  test('write one key for one changed value, and one part of the record for one more key', () => {
    const keys = many(5000);
    const first = stages(keys.map((key) => declared(key, '1')));
    const parts = first.flatMap((stage) => stage.parts);
    expect(parts.length).toBeGreaterThan(1);
    const there = [...parts, ...first.flatMap(({ changes }) => changes)].map(({ key, value }) =>
      entry(key, value ?? ''),
    );
    const changed = keys.map((key, index) => declared(key, index === 7 ? '2' : '1'));
    expect(stages(changed, there)).toEqual([
      { changes: [{ key: 'keys/x/7', value: '2', since: revision(3n) }], parts: [] },
    ]);
    const [more, ...rest] = stages(
      [...keys, 'keys/x/one-more'].map((key) => declared(key, '1')),
      there,
    );
    expect(rest).toEqual([]);
    expect(more?.parts).toHaveLength(1);
    expect(more?.changes).toHaveLength(1);
  });
});
