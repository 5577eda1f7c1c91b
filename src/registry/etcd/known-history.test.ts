import type { IEvent } from 'etcd3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Continuity } from './continuity.ts';
import { keySpace } from './key-space.ts';
import { KnownHistory, newestOf, Replay } from './known-history.ts';

const keys = keySpace('/p/');

type Write = { readonly key: string; readonly value: string | undefined };
type State = ReadonlyMap<string, IEvent['kv']>;

/** A store as etcd is one: each write is a revision, and a key that is not there cannot be deleted. */
function store(writes: readonly Write[]) {
  const events: IEvent[] = [];
  const states: State[] = [new Map()];
  for (const { key, value } of writes) {
    const before = states.at(-1) ?? new Map();
    const old = before.get(key);
    const revision = String(events.length + 1);
    const fields = { key: Buffer.from(`/p/${key}`), mod_revision: revision, lease: '0' };
    const version = String(value === undefined ? 0 : Number(old?.version ?? 0) + 1);
    const create_revision = value === undefined ? '0' : (old?.create_revision ?? revision);
    const kv = { ...fields, version, create_revision, value: Buffer.from(value ?? '') };
    // Deleting what is not there is a change of something else.
    const other = value === undefined && old === undefined;
    events.push({
      type: value === undefined ? 'Delete' : 'Put',
      kv: other ? { ...kv, key: Buffer.alloc(0) } : kv,
      prev_kv: kv,
    });
    const after = new Map(before);
    if (value === undefined) after.delete(key);
    else after.set(key, kv);
    states.push(after);
  }
  const told = events.filter(({ kv }) => kv.key.length > 0);
  return {
    length: events.length,
    state: (revision: number): State => states[revision] ?? new Map(),
    between: (from: number, to: number) =>
      told.filter(({ kv }) => Number(kv.mod_revision) >= from && Number(kv.mod_revision) <= to),
  };
}

const write: fc.Arbitrary<Write> = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  value: fc.option(fc.constantFrom('1', '2'), { nil: undefined }),
});
const writes = fc.array(write, { maxLength: 8 });

/** What a follower knows that listed at one revision and was told everything up to another. */
function follower(history: ReturnType<typeof store>, listed: number, at: number) {
  const entries = [...history.state(listed).values()];
  const { traces, forgotten } = newestOf({ traces: new Map(), forgotten: 0n }, entries, keys);
  const known = new KnownHistory(keys, traces, forgotten);
  const continuity = new Continuity(
    keys,
    entries.map((kv) => [keys.fromBytes(kv.key), Number(kv.version)]),
  );
  const events = history.between(listed + 1, at);
  expect(continuity.take(events)).toBeUndefined();
  known.take(events);
  return { known, continuity };
}

const plain = (state: State) =>
  [...state].map(([key, { mod_revision, version, value }]) => `${key} ${mod_revision} ${version} ${value}`).sort();

describe('the proof of a history', () => {
  test('accepts another one only if it has the same state at our revision, wherever they parted', () => {
    fc.assert(
      fc.property(writes, writes, writes, fc.nat(), (common, ours, theirs, listedAt) => {
        const mine = store([...common, ...ours]);
        const other = store([...common, ...theirs]);
        const at = mine.length;
        fc.pre(other.length >= at);
        const { known, continuity } = follower(mine, listedAt % (at + 1), at);
        if (other.state(at).size !== continuity.size || continuity.size === 0) return;
        const expected = known.expected(BigInt(at));
        if (expected === undefined) return;
        const replay = new Replay(keys, expected.traces, BigInt(at), (key) => continuity.version(key) !== undefined);
        const verdict = replay.take(other.between(Number(expected.since), other.length));
        const same = `${plain(mine.state(at))}` === `${plain(other.state(at))}`;
        // The oldest change that is remembered may be younger than the parting: what was before it is not compared.
        const compared = Number(expected.since) <= common.length + 1;
        if (compared && !same) expect(verdict.kind).not.toBe('same');
        if (
          theirs.length === 0 ||
          `${JSON.stringify(theirs).slice(0, -1)}`.startsWith(JSON.stringify(ours).slice(0, -1))
        ) {
          expect(verdict.kind).toBe('same');
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('remembers the last 256 keys, and whole revisions only', () => {
    const history = store(Array.from({ length: 600 }, (_, i) => ({ key: `k${i}`, value: 'v' })));
    const { known } = follower(history, 0, 600);
    expect(known.expected(600n)).toMatchObject({ since: 345n });
    expect(known.expected(600n, 500n)).toMatchObject({ since: 501n });
    expect(known.expected(600n, 600n)).toBeUndefined();
    expect(known.expected(9000n)).toBeUndefined();
    const { known: listed } = follower(history, 600, 600);
    expect(listed.expected(600n)).toMatchObject({ since: 345n });
    const together = history.between(1, 300).map((event) => ({ ...event, kv: { ...event.kv, mod_revision: '700' } }));
    known.take(together);
    expect(known.expected(700n)).toBeUndefined();
  });
});
