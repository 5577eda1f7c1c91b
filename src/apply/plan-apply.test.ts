import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Declared } from '../declarations/declared.ts';
import { revision } from '../model/revision.ts';
import { parseSetName, type SetName } from '../model/set-name.ts';
import type { Entry, Listing } from '../registry/registry.ts';
import { stagesOf } from './apply-stages.ts';
import { ownedKeys, readOwnership } from './ownership.ts';
import { type ApplyOptions, type ApplyPlan, planApply } from './plan-apply.ts';

const setName = (text: string): SetName => {
  const parsed = parseSetName(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};
const shop = setName('shop');

const place = { file: 'a.yaml', line: 1, column: 1 };
const declare = (entries: Readonly<Record<string, string>>): readonly Declared[] =>
  Object.entries(entries).map(([key, value]) => ({ key, value, place, placeOf: () => place, flawAt: () => place }));

const listing = (entries: Readonly<Record<string, string>>, leased: readonly string[] = []): Listing => ({
  revision: revision(9n),
  cluster: 'c',
  entries: Object.entries(entries).map(
    ([key, value], index): Entry => ({
      key,
      value,
      revision: revision(BigInt(index + 1)),
      leased: leased.includes(key),
    }),
  ),
});

const owns = (set: string, ...keys: readonly string[]) => ({ [`sets/${set}/1`]: JSON.stringify({ keys }) });
const options = (more: Partial<ApplyOptions> = {}): ApplyOptions => ({
  ...{ set: shop, prune: false, take: false, maxPrune: 20 },
  ...more,
});
const kinds = ({ changes }: ApplyPlan) => changes.map(({ kind, key }) => `${kind} ${key}`);
const said = ({ problems }: ApplyPlan) => problems.map(({ what }) => what);

describe('the plan of an apply', () => {
  test('creates what is not there, updates what the set owns, and leaves what has the same meaning', () => {
    const there = listing({
      ...owns('shop', 'services/a', 'services/b', 'keys/c'),
      ...{ 'services/a': '{"hosts":["a"],"mode":"http"}', 'services/b': '{"hosts":["b"]}', 'keys/c': '{"x": 1}' },
    });
    const wanted = declare({
      'services/a': '{ "mode": "http", "hosts": ["a"] }',
      'services/b': '{"hosts":["b","c"]}',
      'keys/c': '{"x":1}',
      'services/new': '{}',
    });
    expect(kinds(planApply(wanted, there, options()))).toEqual([
      ...['update keys/c', 'unchanged services/a', 'update services/b', 'create services/new'],
    ]);
  });

  test('adopts a value that nobody owns, and takes another value or the key of another set only with take', () => {
    const there = listing({
      ...owns('other', 'services/theirs'),
      ...{ 'services/same': '{}', 'services/hand': '{"mode":"tcp"}', 'services/theirs': '{}' },
    });
    const wanted = declare({ 'services/same': '{ }', 'services/hand': '{}', 'services/theirs': '{}' });
    const refused = planApply(wanted, there, options());
    expect(kinds(refused)).toEqual(['adopt services/same']);
    expect(said(refused)).toEqual([
      'services/hand has another value, which no set owns',
      'the set other owns services/theirs',
    ]);
    const taking = planApply(wanted, there, options({ take: true }));
    expect(taking.problems).toEqual([]);
    expect(taking.changes).toMatchObject([
      { kind: 'take', key: 'services/hand', from: undefined },
      { kind: 'adopt', key: 'services/same' },
      { kind: 'take', key: 'services/theirs', from: 'other' },
    ]);
  });

  test('never touches a key under a lease', () => {
    const there = listing(
      { ...owns('shop', 'instances/web/a', 'instances/web/b'), 'instances/web/a': '{}', 'instances/web/b': '{}' },
      ['instances/web/a', 'instances/web/b'],
    );
    const plan = planApply(declare({ 'instances/web/a': '{"weight":1}' }), there, options({ take: true, prune: true }));
    expect(said(plan)).toEqual([expect.stringContaining('instances/web/a is under a lease')]);
    expect(kinds(plan)).toEqual(['forget instances/web/b']);
  });

  test('removes what the set no longer declares only with prune, and nothing that others wrote', () => {
    const there = listing({
      ...owns('shop', 'services/a', 'services/gone'),
      ...owns('other', 'services/theirs'),
      ...{ 'services/a': '{}', 'services/theirs': '{}', 'services/hand': '{}' },
    });
    expect(kinds(planApply([], there, options()))).toEqual(['undeclared services/a', 'forget services/gone']);
    expect(kinds(planApply([], there, options({ prune: true })))).toEqual([
      'remove services/a',
      'forget services/gone',
    ]);
  });

  test('refuses to remove more keys than the bound', () => {
    const keys = ['services/a', 'services/b', 'services/c'];
    const there = listing({ ...owns('shop', ...keys), ...Object.fromEntries(keys.map((key) => [key, '{}'])) });
    const pruning = options({ prune: true, maxPrune: 2 });
    expect(planApply([], there, pruning).problems).toMatchObject([
      {
        what: 'it would remove 3 of the 3 keys of the set shop, more than 2: services/a, services/b, services/c',
        hint: expect.stringContaining('--max-prune 3'),
      },
    ]);
    expect(planApply(declare({ 'services/a': '{}' }), there, pruning).problems).toEqual([]);
  });

  test('refuses when the record of a set cannot be read, because its keys would belong to nobody', () => {
    const plan = planApply(declare({ 'services/a': '{}' }), listing({ 'sets/other/1': '[]' }), options());
    expect(said(plan)).toEqual(['sets/other/1 is not a record of a set: it is not a JSON object']);
    expect(stagesOf(plan)).toEqual([]);
  });

  test('refuses a set whose record would not fit into one transaction', () => {
    const keys = Array.from({ length: 5000 }, (_, index) => [`keys/${'x'.repeat(200)}/${index}`, 'v']);
    const plan = planApply(declare(Object.fromEntries(keys)), listing({}), options());
    expect(said(plan)).toEqual([expect.stringMatching(/would own 5000 keys, whose names have \d+ bytes/)]);
  });
});

/** Does to the entries what the transactions do, and checks the guards as the registry does. */
function carriedOut(plan: ApplyPlan, now: Map<string, Entry>, at: number, stages = stagesOf(plan)): void {
  for (const { changes, parts } of stages) {
    for (const { key, since } of changes) expect(now.get(key)?.revision).toBe(since);
    for (const { key, value } of [...changes, ...parts]) {
      if (value === undefined) now.delete(key);
      else now.set(key, { key, value, revision: revision(BigInt(at)), leased: false });
    }
  }
}

const owned = (now: ReadonlyMap<string, Entry>) => {
  const ownership = readOwnership(now.values());
  if (!ownership.ok) throw new Error(ownership.reason);
  return new Map([...ownership.value.sets].map(([set, parts]) => [set, [...ownedKeys(parts)].sort()]));
};

const key = fc.constantFrom(...['a', 'b', 'c', 'd', 'e', 'f'].flatMap((name) => [`services/${name}`, `keys/${name}`]));
const entries = fc.dictionary(key, fc.constantFrom('{}', '{"hosts":["x"]}', '{"hosts":["y"]}'), { maxKeys: 12 });
const step = fc.record({
  set: fc.constantFrom(shop, setName('other')),
  declared: entries,
  prune: fc.boolean(),
  take: fc.boolean(),
  /** How many transactions take place before the apply dies. */
  dies: fc.option(fc.nat(3), { nil: undefined }),
});

describe('applies of two sets', () => {
  const read = (now: ReadonlyMap<string, Entry>): Listing => ({
    ...{ revision: revision(9n), cluster: 'c', entries: [...now.values()] },
  });

  test('never own a key together, remove only their own, and change nothing the second time', () => {
    fc.assert(
      fc.property(entries, fc.array(step, { maxLength: 6 }), (byHand, steps) => {
        const now = new Map(listing(byHand).entries.map((entry) => [entry.key, entry]));
        for (const [at, { set, declared, prune, take, dies }] of steps.entries()) {
          const wanted = declare(declared);
          const plan = planApply(wanted, read(now), options({ set, prune, take }));
          if (plan.problems.length > 0) continue;
          const before = new Map(now);
          const mine = new Set(owned(now).get(set));
          const stages = stagesOf(plan);
          carriedOut(plan, now, 10 + at, stages.slice(0, dies));
          const keys = [...owned(now).values()].flat();
          expect(new Set(keys).size).toBe(keys.length);
          for (const gone of [...before.keys()].filter((one) => !now.has(one) && !one.startsWith('sets/'))) {
            expect(mine).toContain(gone);
          }
          const again = planApply(wanted, read(now), options({ set, prune, take }));
          expect(again.problems).toEqual([]);
          carriedOut(again, now, 100 + at);
          expect(stagesOf(planApply(wanted, read(now), options({ set, prune, take })))).toEqual([]);
          for (const { key: one, value } of wanted)
            expect(JSON.parse(now.get(one)?.value ?? 'null')).toEqual(JSON.parse(value));
          if (prune) expect(owned(now).get(set) ?? []).toEqual(Object.keys(declared).sort());
        }
      }),
    );
  });
});
