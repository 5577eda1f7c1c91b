import { expect, test } from 'vitest';
import { leaderKey } from '../model/acme/keys.ts';
import { revision } from '../model/revision.ts';
import type { Entry } from '../registry/registry.ts';
import { unorderedNote } from './unordered-note.ts';

const holding = (...keys: readonly string[]) => ({
  read: async () => ({
    entries: keys.map((key): Entry => ({ key, value: '{}', revision: revision(1n), leased: true })),
    revision: revision(1n),
    cluster: 'c',
  }),
});
const auto = '{"https":{"certificate":"auto"}}';
const other = '{"https":"redirect"}';

test('who asks for certificates while no balancer orders any is told', async () => {
  expect(await unorderedNote(holding(), [other, auto])).toMatch(/^no balancer orders certificates now/);
  expect(await unorderedNote(holding(leaderKey), [auto])).toBeUndefined();
  expect(await unorderedNote(holding(), [other])).toBeUndefined();
  expect(await unorderedNote(holding(), [])).toBeUndefined();
  expect(await unorderedNote({ read: () => Promise.reject(new Error('denied')) }, [auto])).toBeUndefined();
});
