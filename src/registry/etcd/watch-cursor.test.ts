import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { revision } from '../../model/revision.ts';
import { keySpace } from './key-space.ts';
import { advance, type Cursor } from './watch-cursor.ts';

type Response = Parameters<typeof advance>[1];
const keys = keySpace('/p/');
const cursor: Cursor = { cluster: 'c', term: 2n, revision: revision(10n), fragments: [] };

const event = (at: number, type: 'Put' | 'Delete' = 'Put'): Response['events'][number] => {
  const none = {
    key: Buffer.alloc(0),
    value: Buffer.alloc(0),
    create_revision: '0',
    mod_revision: '0',
    version: '0',
    lease: '0',
  };
  return { type, kv: { ...none, key: Buffer.from(`/p/keys/${at}`), mod_revision: String(at) }, prev_kv: none };
};

function response(fields: { revision?: number; cluster?: string; term?: number } & Partial<Response>): Response {
  const { revision: at = 99, cluster = 'c', term = 2, ...rest } = fields;
  return {
    header: { cluster_id: cluster, member_id: '1', revision: String(at), raft_term: String(term) },
    watch_id: '0',
    created: false,
    canceled: false,
    compact_revision: '0',
    cancel_reason: '',
    fragment: false,
    events: [],
    ...rest,
  };
}

describe('a watch advances', () => {
  test('to the last event of a response, not to its header', () => {
    const step = advance(cursor, response({ events: [event(11), event(12)] }), keys);
    expect(step).toMatchObject({ kind: 'changes', cursor: { revision: 12n } });
  });

  test('to the header of a periodic progress report, and not of a requested one', () => {
    expect(advance(cursor, response({}), keys)).toMatchObject({ kind: 'progress', cursor: { revision: 99n } });
    expect(advance(cursor, response({ watch_id: '-1' }), keys)).toEqual({ kind: 'wait', cursor });
  });

  test('not when the watch was only created', () => {
    expect(advance(cursor, response({ created: true }), keys)).toEqual({ kind: 'created', behind: true });
    expect(advance(cursor, response({ created: true, revision: 10 }), keys)).toEqual({
      kind: 'created',
      behind: false,
    });
  });

  test('nowhere by what a gRPC proxy makes up, which knows neither cluster nor term', () => {
    const madeUp = { cluster: '0', term: 0, revision: 11 };
    expect(advance(cursor, response({ ...madeUp, created: true }), keys)).toEqual({ kind: 'created', behind: false });
    expect(advance(cursor, response(madeUp), keys)).toEqual({ kind: 'wait', cursor });
    const canceled = { ...madeUp, canceled: true, compact_revision: '5' };
    expect(advance(cursor, response(canceled), keys)).toMatchObject({ kind: 'relist' });
  });

  test('and drops what was delivered before, with which each new stream begins', () => {
    const step = advance(cursor, response({ events: [event(10), event(11)] }), keys);
    expect(step.kind === 'changes' && step.changes).toHaveLength(1);
    expect(advance(cursor, response({ events: [event(10)] }), keys)).toEqual({ kind: 'wait', cursor });
  });

  test('and remembers the highest term, so that an older one is noticed', () => {
    const step = advance(cursor, response({ term: 3, events: [event(11)] }), keys);
    expect(step).toMatchObject({ kind: 'changes', cursor: { term: 3n } });
  });

  test('not before the last fragment', () => {
    const first = advance(cursor, response({ fragment: true, events: [event(11)] }), keys);
    expect(first).toMatchObject({ kind: 'wait', cursor: { revision: 10n } });
    const held = first.kind === 'wait' ? first.cursor : cursor;
    const second = advance(held, response({ events: [event(12)] }), keys);
    expect(second).toMatchObject({ kind: 'changes', cursor: { revision: 12n, fragments: [] } });
    expect(second.kind === 'changes' && second.changes).toHaveLength(2);
  });

  test.each([
    ['another cluster', { cluster: 'd' }, 'relist'],
    ['a revision that went back', { revision: 9 }, 'relist'],
    ['a term that went back, though the revision did not', { term: 1, created: true }, 'relist'],
    ['a compacted history', { canceled: true, compact_revision: '50' }, 'relist'],
    ['a cancellation', { canceled: true, cancel_reason: 'permission denied' }, 'restart'],
  ] as const)('%s ends it', (_, fields, kind) => {
    expect(advance(cursor, response(fields), keys)).toMatchObject({ kind });
  });

  test('delivers each event once, however the responses overlap', () => {
    const batches = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 5 }), fc.boolean()), { maxLength: 20 });
    fc.assert(
      fc.property(batches, (list) => {
        let at = cursor;
        const seen: bigint[] = [];
        let reach = 10;
        for (const [back, count, fragment] of list) {
          // A new stream begins anywhere at or before what was delivered, never after it.
          const start = Math.max(11, Math.min(reach + 1, Number(at.revision) + 1 - back));
          const events = Array.from({ length: count }, (_, i) => event(start + i));
          const step = advance(at, response({ fragment, events }), keys);
          if (step.kind === 'changes' || step.kind === 'wait') at = step.cursor;
          if (step.kind === 'changes') {
            for (const change of step.changes)
              seen.push(change.kind === 'put' ? change.entry.revision : change.revision);
            reach = Math.max(reach, start + count - 1);
          }
          if (fragment) at = { ...at, fragments: [] }; // and the stream was cut
        }
        expect(seen).toEqual(seen.map((_, i) => 11n + BigInt(i)));
      }),
    );
  });
});
