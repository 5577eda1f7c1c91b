import { describe, expect, test } from 'vitest';
import { changesOf, entry } from '../../test/support/entries.ts';
import type { ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import { type Catalog, emptyCatalog } from './catalog.ts';
import { foldEvent } from './fold-event.ts';
import { type CatalogLimits, noLimits } from './limits.ts';
import { forgottenServices, mayBeForgotten, mostRejected } from './remembering.ts';

const at = revision(1n);
const web = 'web' as ServiceName;

function fold(catalog: Catalog, limits: Partial<CatalogLimits>, tree: Readonly<Record<string, string | undefined>>) {
  return foldEvent(catalog, changesOf(tree, { leased: true }), { ...noLimits, ...limits });
}

const address = '10.0.0.1:80';
const reasons = ({ rejections }: ReturnType<typeof fold>) => rejections.map(({ key, reason }) => [key, reason]);
const padded = (bytes: number): string => address.padEnd(bytes);

describe('a limit', () => {
  test('of values counts bytes, and what was good stays', () => {
    const limits = { valueBytes: 20 };
    const first = fold(emptyCatalog, limits, { 'instances/web/a': padded(20), 'instances/web/b': padded(21) });
    expect(reasons(first)).toEqual([['instances/web/b', 'its value has 21 bytes, more than 20 (--limit-value)']]);
    const second = fold(first.catalog, limits, { 'instances/web/a': '😀😀😀😀😀😀' });
    expect(second.rejections).toMatchObject([
      { key: 'instances/web/a', reason: 'its value has 24 bytes, more than 20 (--limit-value)', lastGoodServes: true },
    ]);
    expect(second.catalog.services.get(web)?.instances.size).toBe(1);
  });

  test('of instances is for each service, and the ones that are there may change', () => {
    const limits = { instances: 2 };
    const { catalog, ...folded } = fold(emptyCatalog, limits, {
      'instances/web/a': address,
      'instances/web/b': address,
      'instances/web/c': address,
      'instances/api/a': address,
    });
    expect(folded.rejections.map(({ reason }) => reason)).toEqual([
      'web has 2 instances already, the most that --limit-instances allows',
    ]);
    const changed = fold(catalog, limits, { 'instances/web/a': '10.0.0.2:80', 'services/web': '{}' });
    expect(changed.rejections).toEqual([]);
    const moved = fold(changed.catalog, limits, { 'instances/web/a': undefined, 'instances/web/c': address });
    expect(moved.rejections).toEqual([]);
    expect(moved.catalog.rejected.size).toBe(0);
  });

  test.each([{ instances: 2 }, { entries: 3 }, { totalBytes: 216 }])(
    'refuses an entry only until there is room, whichever limit it was: %o',
    (limits) => {
      const full = fold(emptyCatalog, limits, {
        'instances/web/a': address,
        'instances/web/b': address,
        'instances/web/c': address,
        'instances/api/a': address,
      });
      expect([...full.catalog.rejected.keys()]).toEqual(['instances/web/c']);
      const room = fold(full.catalog, limits, { 'instances/web/a': undefined });
      expect([...(room.catalog.services.get(web)?.instances.keys() ?? [])].sort()).toEqual(['b', 'c']);
      expect(room.dirty.get(web)?.instances).toContain('c');
      expect(room.catalog.rejected.size).toBe(0);
      expect(room.catalog.shares.cuts.size).toBe(0);
    },
  );

  test('refuses nothing later that was deleted, or made otherwise, while it waited', () => {
    const limits = { instances: 1 };
    const full = fold(emptyCatalog, limits, {
      'instances/web/a': address,
      'instances/web/b': address,
      'instances/web/c': address,
    });
    const changed = fold(full.catalog, limits, { 'instances/web/b': undefined, 'instances/web/c': 'nonsense' });
    const room = fold(changed.catalog, limits, { 'instances/web/a': undefined });
    expect(room.catalog.services.has(web)).toBe(false);
    expect([...room.catalog.rejected.keys()]).toEqual(['instances/web/c']);
  });

  test('of services counts those that are declared and those that have instances', () => {
    const folded = fold(
      emptyCatalog,
      { services: 2 },
      {
        'services/web': '{}',
        'instances/web/a': address,
        'instances/api/a': address,
        'instances/more/a': address,
        'services/more': '{}',
      },
    );
    expect(reasons(folded)).toEqual([
      ['instances/more/a', 'there are 2 services already, the most that --limit-services allows'],
      ['services/more', 'there are 2 services already, the most that --limit-services allows'],
    ]);
  });

  test('of entries and of all bytes refuses the newest keys, and says whose share they exceed', () => {
    const two = fold(
      emptyCatalog,
      { entries: 2 },
      {
        'instances/web/a': address,
        'overrides/web/a': '{"kind":"drain"}',
        'services/web': '{}',
        'instances/web/b': address,
      },
    );
    expect(reasons(two)).toEqual([
      ['instances/web/b', 'web exceeds its share: all services have more than 2 entries (--limit-entries)'],
    ]);
    const one = 64 + '10.0.0.1'.length;
    const { catalog, rejections } = fold(
      emptyCatalog,
      { totalBytes: 2 * one },
      { 'instances/web/a': address, 'instances/web/b': padded(5000) },
    );
    expect(rejections).toEqual([]);
    expect(catalog.shares.total).toEqual({ bytes: 2 * one, entries: 2, instances: 2 });
    const larger = fold(
      catalog,
      { totalBytes: 2 * one },
      { 'instances/web/a': '{"address":"10.0.0.1:80","zone":"z"}' },
    );
    const exceeded = `web exceeds its share: the values of all services have more than ${2 * one} bytes (--limit-total)`;
    expect(reasons(larger)).toEqual([['instances/web/b', exceeded]]);
    const again = fold(larger.catalog, { totalBytes: 2 * one }, { 'instances/web/a': address });
    expect([...again.catalog.rejected.keys()]).toEqual([]);
  });

  test('looks at everything again when everything is read again', () => {
    const limits = { instances: 1 };
    const { catalog } = fold(emptyCatalog, limits, { 'instances/web/a': address, 'instances/web/b': address });
    const gone = fold(catalog, limits, { 'instances/web/a': undefined });
    const entries = new Map([['instances/web/b', entry('instances/web/b', address)]]);
    const snapshot = { kind: 'snapshot', history: { kind: 'first' }, revision: at, cluster: 'c', entries } as const;
    const again = foldEvent(gone.catalog, snapshot, { ...noLimits, ...limits });
    expect([...(again.catalog.services.get(web)?.instances.keys() ?? [])]).toEqual(['b']);
    expect(again.catalog.rejected.size).toBe(0);
    // A whole set that is replaced by another finds the room of those that go.
    const others = new Map([['instances/web/c', entry('instances/web/c', address)]]);
    const replaced = foldEvent(again.catalog, { ...snapshot, entries: others }, { ...noLimits, ...limits });
    expect(replaced.rejections).toEqual([]);
  });

  test('is on what is remembered of rubbish, too', () => {
    const rubbish = Array.from({ length: mostRejected + 5 }, (_, i) => [`rubbish/${i}`, 'x'] as const);
    const many = fold(emptyCatalog, {}, Object.fromEntries(rubbish));
    expect(many.rejections).toHaveLength(mostRejected + 5);
    expect(many.catalog.rejected.size).toBe(mostRejected);
    expect(mayBeForgotten(many.catalog, 'rubbish/x')).toBe(true);
    expect(forgottenServices(many.catalog)).toEqual([]);
    const long = `instances/${'x'.repeat(1_000_000)}`;
    const { catalog, rejections } = fold(emptyCatalog, {}, { [long]: address });
    expect(rejections[0]?.key.length).toBeLessThan(1100);
    expect(rejections[0]?.reason.length).toBeLessThan(300);
    expect(fold(catalog, {}, { [long]: undefined }).catalog.rejected.size).toBe(0);
  });

  test('on what is remembered lets no service have the rejections of another forgotten', () => {
    const evil = Array.from({ length: mostRejected + 5 }, (_, i) => [`instances/evil/${i}`, 'x'] as const);
    const many = fold(emptyCatalog, {}, Object.fromEntries(evil));
    expect(forgottenServices(many.catalog)).toEqual(['evil']);
    const later = fold(many.catalog, {}, { 'instances/web/a': 'x', 'instances/web/b': 'x', 'overrides/web/*': 'x' });
    expect(later.rejections).toHaveLength(3);
    for (const { key } of later.rejections) expect(later.catalog.rejected.has(key)).toBe(true);
    expect(later.catalog.rejected.size).toBe(mostRejected);
    expect(forgottenServices(later.catalog)).toEqual(['evil']);
    // Room does not bring back what was forgotten; only to read everything again does.
    const fewer = fold(later.catalog, {}, Object.fromEntries(evil.slice(0, 5000).map(([key]) => [key, undefined])));
    expect(mayBeForgotten(fewer.catalog, 'instances/evil/x')).toBe(true);
    expect(mayBeForgotten(fewer.catalog, 'instances/web/x')).toBe(false);
    const entries = new Map([['instances/web/a', entry('instances/web/a', 'x')]]);
    const snapshot = { kind: 'snapshot', history: { kind: 'first' }, revision: at, cluster: 'c', entries } as const;
    expect(forgottenServices(foldEvent(fewer.catalog, snapshot).catalog)).toEqual([]);
  });
});
