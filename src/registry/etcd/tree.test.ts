import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TooLarge } from './grpc-channel.ts';
import type { MemberClient } from './member-client.ts';
import { keySpace, list, withPrefix } from './tree.ts';

const keys = keySpace('/p/', (key, bytes) => (bytes > 1_000_000 ? `${key} has ${bytes} bytes` : undefined));

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
      expect([...entries.values()].map(({ value, refused }) => [value.length, refused !== undefined])).toEqual(
        sizes.map((bytes) => (bytes > 1_000_000 ? [0, true] : [bytes, false])),
      );
      for (const answer of answers) if (answer.keys > 1) expect(answer.bytes).toBeLessThanOrEqual(8 * 2 ** 20);
    }),
    { numRuns: 30 },
  );
});

test('a list of many small values takes few answers, each about as large as is aimed at', async () => {
  const answers: { keys: number; bytes: number }[] = [];
  await list(answering(Array(100_000).fill(100), answers), keys, withPrefix(keys, ''));
  expect(answers.length).toBeLessThanOrEqual(11);
  for (const { bytes } of answers) expect(bytes).toBeLessThanOrEqual(2 * 2 ** 20);
});
