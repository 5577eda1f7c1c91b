import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../registry.ts';
import { TooLarge } from './grpc-channel.ts';
import { keySpace } from './key-space.ts';
import type { MemberClient } from './member-client.ts';
import { list, withPrefix } from './tree.ts';

const keys = keySpace('/p/', {
  reject: (key, bytes) => (bytes > 1_000_000 ? `${key} has ${bytes} bytes` : undefined),
  shorten: (entry) => entry,
});

/** Answers as etcd does, and notes how large each answer was. */
function answering(sizes: readonly number[], answers: { keys: number; bytes: number }[]) {
  const all = sizes.map((size, i) => ({ key: keys.toBytes(`k${String(i).padStart(6, '0')}`), size }));
  const range: MemberClient['kv']['range'] = async (
    { key = Buffer.alloc(0), limit = 0 },
    { mostBytes = Infinity } = {},
  ) => {
    const from = all.findIndex((one) => Buffer.compare(one.key, key as Buffer) >= 0);
    const page = from === -1 ? [] : all.slice(from, from + Number(limit));
    const bytes = page.reduce((sum, { size }) => sum + size, 0);
    if (bytes > mostBytes) throw new TooLarge(bytes);
    answers.push({ keys: page.length, bytes });
    const kvs = page.map((one) => ({
      ...{ key: one.key, value: Buffer.alloc(one.size, 'x') },
      ...{ version: '1', mod_revision: '5', create_revision: '5', lease: '0' },
    }));
    const header = { cluster_id: '1', member_id: '1', revision: '7', raft_term: '2' };
    return { header, kvs, more: from + page.length < all.length, count: String(all.length) };
  };
  return { kv: { range } } as unknown as MemberClient;
}

test('a list reads each key once, whatever the sizes, and no answer with several keys is large', async () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 400 }), fc.constant(1_400_000));
  const run = fc.tuple(size, fc.integer({ min: 1, max: 60 })).map(([bytes, times]) => Array(times).fill(bytes));
  await fc.assert(
    fc.asyncProperty(fc.array(run, { maxLength: 6 }), async (runs) => {
      const sizes: number[] = runs.flat();
      const answers: { keys: number; bytes: number }[] = [];
      const { entries } = await list(answering(sizes, answers), keys, withPrefix(keys, ''));
      expect([...entries.values()].map(({ value, rejected }) => [value.length, rejected !== undefined])).toEqual(
        sizes.map((bytes) => (bytes > 1_000_000 ? [0, true] : [bytes, false])),
      );
      for (const answer of answers) if (answer.keys > 1) expect(answer.bytes).toBeLessThanOrEqual(8 * 2 ** 20);
    }),
    { numRuns: 6 },
  );
});

test('each entry is shortened as it is read, not when the whole list is there', async () => {
  const shortened: string[] = [];
  const shorten = (entry: Entry): Entry => {
    shortened.push(entry.key);
    return { ...entry, value: entry.value.slice(0, 3) };
  };
  const short = keySpace('/p/', { reject: () => undefined, shorten });
  const asked: number[] = [];
  const client = answering(Array(100).fill(60_000), []);
  const range: MemberClient['kv']['range'] = (...request) => {
    asked.push(shortened.length);
    return client.kv.range(...request);
  };
  const { entries } = await list({ kv: { range } } as unknown as MemberClient, short, withPrefix(short, ''));
  expect([...entries.values()].map(({ value }) => value)).toEqual(Array(100).fill('xxx'));
  expect(asked.slice(0, 2)).toEqual([0, 50]);
});

test('a list of many small values takes few answers, each about as large as is aimed at', async () => {
  const answers: { keys: number; bytes: number }[] = [];
  await list(answering(Array(100_000).fill(100), answers), keys, withPrefix(keys, ''));
  expect(answers.length).toBeLessThanOrEqual(11);
  for (const { bytes } of answers) expect(bytes).toBeLessThanOrEqual(2 * 2 ** 20);
});
