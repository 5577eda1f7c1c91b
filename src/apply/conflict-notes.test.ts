import { expect, test } from 'vitest';
import { emptyFleet, foldFleet } from '../fleet/fleet-view.ts';
import { revision } from '../model/revision.ts';
import { conflictNotes } from './conflict-notes.ts';

test('prints each conflict of the keys once, and names the balancers if only some report it', () => {
  const shop = 'shop does not get the route shop.test/: web has it';
  const value = (conflicts: object, unrouted: object = {}) =>
    JSON.stringify({ format: 1, revision: '7', cluster: 'c', owner: 'o', version: '1', conflicts, unrouted });
  const values = {
    'lb-1': value({ shop, other: 'not asked', api: 'api does not get the port 1' }),
    'lb-2': value({ shop, gone: 'gone has no route' }, { gone: 'gone has no route' }),
  };
  const entries = Object.entries(values).map(([id, text]) => {
    const key = `balancers/${id}`;
    return [key, { key, value: text, revision: revision(1n), leased: true }] as const;
  });
  const view = foldFleet(emptyFleet, {
    ...{ kind: 'snapshot', revision: revision(9n), cluster: 'c', history: { kind: 'first' } },
    entries: new Map(entries),
  });
  const keys = new Set(['services/shop', 'services/api', 'services/gone', 'instances/other/a']);
  expect(conflictNotes(view, keys)).toEqual([shop, 'lb-1: api does not get the port 1']);
});
