import { expect, test } from 'vitest';
import { revision } from '../../model/revision.ts';
import { Continuity } from './continuity.ts';
import { type Delivered, emptyState, type FollowAnswer, type FollowState, stepFollow } from './follow-state.ts';
import { keySpace } from './key-space.ts';
import { KnownHistory } from './known-history.ts';

const keys = keySpace('/pointsman/');
const delivered = (at: number): Delivered => ({
  cursor: { cluster: '7', term: 2n, revision: revision(BigInt(at)), fragments: [] },
  continuity: new Continuity(keys, []),
  history: new KnownHistory(keys),
});
const after = (...answers: readonly FollowAnswer[]): FollowState => answers.reduce(stepFollow, emptyState);

const listed: FollowAnswer = { kind: 'listed', delivered: delivered(5) };
const caughtUp: FollowAnswer = { kind: 'caught-up' };
const ended = (kind: 'restart' | 'stuck' | 'relist' | 'refresh', replaced?: string): FollowAnswer => ({
  kind: 'ended',
  end:
    kind === 'restart' || kind === 'stuck'
      ? { kind: 'restart', reason: 'reset', stuck: kind === 'stuck' }
      : kind === 'relist'
        ? { kind, reason: 'compacted', replaced }
        : { kind, reason: 'time' },
});

test('a follower reads lists until one succeeds, and counts the failures', () => {
  expect(after(ended('restart'), ended('restart'))).toMatchObject({ next: 'list', failures: 2, delivered: undefined });
});

test('after a list a failed watch is continued from the last cursor, without the rest of a response', () => {
  const bytes = { key: Buffer.from('/pointsman/a'), value: Buffer.alloc(0) };
  const kv = { ...bytes, create_revision: '9', mod_revision: '9', version: '1', lease: '0' };
  const event = { type: 'Put', kv, prev_kv: kv } as const;
  const cursor = { ...delivered(9).cursor, fragments: [event] };
  const state = after(listed, { kind: 'advanced', cursor }, ended('restart'));
  expect(state).toMatchObject({
    next: 'continue',
    failures: 1,
    delivered: { cursor: { revision: 9n, fragments: [] } },
  });
});

test('a watch that proves to work ends the count of failures, and its beginning alone does not', () => {
  expect(after(ended('restart'), listed).failures).toBe(1);
  expect(after(ended('restart'), listed, { kind: 'advanced', cursor: delivered(6).cursor }).failures).toBe(0);
});

test('two stuck watches in a row cause a list, and one that caught up in between does not count', () => {
  expect(after(listed, ended('stuck')).next).toBe('continue');
  expect(after(listed, ended('stuck'), ended('stuck'))).toMatchObject({ next: 'list', stuck: 0 });
  expect(after(listed, ended('stuck'), caughtUp, ended('stuck')).next).toBe('continue');
});

test('a refresh causes a list and counts as no failure', () => {
  expect(after(listed, ended('refresh'))).toMatchObject({ next: 'list', failures: 0 });
});

test('a replaced history is remembered until a list succeeds, as is the state before it', () => {
  const state = after(listed, ended('relist', 'restored'), ended('restart'), ended('relist'));
  expect(state).toMatchObject({ next: 'list', replaced: 'restored', delivered: { cursor: { revision: 5n } } });
  expect(stepFollow(state, { kind: 'listed', delivered: delivered(3) })).toMatchObject({
    next: 'continue',
    replaced: undefined,
    delivered: { cursor: { revision: 3n } },
  });
});
