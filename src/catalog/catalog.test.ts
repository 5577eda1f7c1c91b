import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entry } from '../../test/support/entries.ts';
import type { ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import type { Change, Held } from '../registry/registry.ts';
import { type Catalog, emptyCatalog } from './catalog.ts';
import { foldEvent } from './fold-event.ts';
import { withNumber } from './numbers.ts';
import { emptyService } from './serving.ts';

const put = (key: string, value: string): Change => ({ kind: 'put', entry: entry(key, value) });
const gone = (key: string): Change => ({ kind: 'delete', key, revision: revision(1n) });

function fold(catalog: Catalog, ...changes: readonly Change[]) {
  return foldEvent(catalog, { kind: 'changes', revision: revision(2n), changes });
}

function snapshot(entries: Readonly<Record<string, string>>, catalog = emptyCatalog) {
  const map = new Map(Object.entries(entries).map(([key, value]) => [key, entry(key, value)]));
  return foldEvent(catalog, {
    kind: 'snapshot',
    history: { kind: 'first' },
    revision: revision(3n),
    cluster: 'c',
    entries: map,
  });
}

describe('the catalog', () => {
  test('takes an instance from host:port and from JSON', () => {
    const { catalog } = fold(
      emptyCatalog,
      put('instances/web/a', '10.0.0.1:80'),
      put('instances/web/b', '{"address":"::1","port":81,"weight":7,"version":"v2"}'),
    );
    const web = [...catalog.services.values()][0];
    expect(web?.instances.toArray().map(([, { address, weight, version }]) => [address.host, weight, version])).toEqual(
      [
        ['10.0.0.1', 100, undefined],
        ['::1', 7, 'v2'],
      ],
    );
  });

  test('says which instances were touched, and when the whole service was', () => {
    const first = fold(emptyCatalog, put('instances/web/a', '10.0.0.1:80'));
    expect([...first.dirty.values()]).toEqual([{ whole: true, instances: new Set(['a']) }]);
    const second = fold(first.catalog, put('instances/web/b', '10.0.0.2:80'));
    expect([...second.dirty.values()]).toEqual([{ whole: false, instances: new Set(['b']) }]);
    const third = fold(second.catalog, put('services/web', '{"balance":"random"}'));
    expect([...third.dirty.values()]).toEqual([{ whole: true, instances: new Set() }]);
  });

  test('an equal value touches nothing', () => {
    const { catalog } = fold(emptyCatalog, put('instances/web/a', '10.0.0.1:80'));
    expect(fold(catalog, put('instances/web/a', '10.0.0.1:80')).dirty.size).toBe(0);
    expect(snapshot({ 'instances/web/a': '10.0.0.1:80' }, catalog).dirty.size).toBe(0);
  });

  test('a refused value is named once and keeps what was good', () => {
    const { catalog } = fold(emptyCatalog, put('instances/web/a', '10.0.0.1:80'));
    const bad = fold(catalog, put('instances/web/a', '10.0.0.1:99999'));
    expect(bad.rejections).toMatchObject([{ key: 'instances/web/a', lastGoodServes: true }]);
    expect(bad.catalog.services.size).toBe(1);
    expect(fold(bad.catalog, put('instances/web/a', '10.0.0.1:99999')).rejections).toEqual([]);
    const mended = fold(bad.catalog, put('instances/web/a', '10.0.0.2:80'));
    expect(mended.catalog.rejected.size).toBe(0);
  });

  test('a service has its policy since the key was created, however often it was changed', () => {
    const at = (revised: bigint, created: bigint, value: string, held?: Held): Change => ({
      kind: 'put',
      entry: {
        ...entry('services/web', value),
        revision: revision(revised),
        created: revision(created),
        ...(held && { held }),
      },
    });
    const since = (catalog: Catalog) => catalog.services.get('web' as ServiceName)?.since;
    const first = fold(emptyCatalog, at(5n, 5n, '{}')).catalog;
    const changed = fold(first, at(7n, 5n, '{"maxconn":5}')).catalog;
    expect([since(first), since(changed)]).toEqual([5n, 5n]);
    // Of the same text, deleted and put again: in one change, or unseen before a snapshot.
    const again = at(9n, 9n, '{"maxconn":5}');
    expect(since(fold(changed, gone('services/web'), again).catalog)).toBe(9n);
    const unseen = fold(changed, again);
    expect([since(unseen.catalog), unseen.dirty.size]).toEqual([9n, 1]);
    // Held over the loss of the registry, whose successor counts from 1.
    const held = { kind: 'replaced', reason: 'it was wiped', at: 0, until: undefined } as const;
    expect(since(fold(changed, at(7n, 5n, '{"maxconn":5}', held)).catalog)).toBeLessThan(1n);
    const without = fold(changed, gone('services/web'), put('instances/web/a', '10.0.0.1:80')).catalog;
    expect(since(without)).toBeUndefined();
  });

  test('a service is there as long as it has an instance or a policy', () => {
    let { catalog } = fold(emptyCatalog, put('instances/web/a', '10.0.0.1:80'), put('services/web', '{}'));
    catalog = fold(catalog, gone('instances/web/a')).catalog;
    expect(catalog.services.size).toBe(1);
    const last = fold(catalog, gone('services/web'));
    expect(last.catalog.services.size).toBe(0);
    expect([...last.dirty.values()][0]?.whole).toBe(true);
  });

  test('what is not in a snapshot does not exist', () => {
    const { catalog } = fold(emptyCatalog, put('instances/web/a', '10.0.0.1:80'), put('instances/web/bad', 'x'));
    const after = snapshot({ 'instances/api/b': '10.0.0.2:80' }, catalog);
    expect([...after.catalog.services.keys()]).toEqual(['api']);
    expect(after.catalog.rejected.size).toBe(0);
  });

  test('changes one by one and the snapshot of their result give the same', () => {
    const key = fc.constantFrom('instances/web/a', 'instances/web/b', 'instances/api/a', 'services/web', 'keys/x', '?');
    const value = fc.constantFrom('10.0.0.1:80', '10.0.0.2:80', '{}', '{"balance":"random"}', undefined);
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value)), (history) => {
        let catalog = emptyCatalog;
        const tree = new Map<string, string>();
        for (const [at, text] of history) {
          catalog = fold(catalog, text === undefined ? gone(at) : put(at, text)).catalog;
          if (text === undefined) tree.delete(at);
          else tree.set(at, text);
        }
        // A key whose newest value is refused keeps an older one, which a snapshot alone cannot know.
        const again = snapshot(Object.fromEntries(tree), catalog);
        expect(again.dirty.size).toBe(0);
        expect(again.catalog.rejected.keySeq().toSet().equals(catalog.rejected.keySeq().toSet())).toBe(true);
      }),
    );
  });
});

test('a service has the numbers of those that are registered, and an older catalog keeps its own', () => {
  const instance = (id: string) => `instances/web/${id}`;
  const policy = put('services/web', '{}');
  // The first two ask for one number: see numbers.test.ts.
  const keys = ['web-57938', 'web-68781', 'a', 'b'].map(instance);
  const steps: readonly (readonly Change[])[] = [
    [policy, ...keys.map((key) => put(key, '10.0.0.1:80'))],
    [gone(keys[0] ?? ''), put(keys[2] ?? '', '10.0.0.2:80')],
    keys.slice(1).map(gone),
    [put(keys[1] ?? '', '10.0.0.1:80'), put(keys[0] ?? '', '10.0.0.1:80')],
    keys.slice(0, 2).map(gone),
    [put(keys[3] ?? '', '10.0.0.1:80')],
  ];
  const numbersOf = ({ services }: Catalog) => services.get('web' as ServiceName)?.numbers.toJS();
  const expected = ({ services }: Catalog) =>
    [...(services.get('web' as ServiceName)?.registered.keys() ?? [])]
      .reduce(withNumber, emptyService('web' as ServiceName).numbers)
      .toJS();
  const made: { readonly catalog: Catalog; readonly numbers: unknown }[] = [];
  let catalog = emptyCatalog;
  for (const changes of steps) {
    ({ catalog } = fold(catalog, ...changes));
    expect(numbersOf(catalog)).toEqual(expected(catalog));
    made.push({ catalog, numbers: numbersOf(catalog) });
  }
  for (const { catalog: older, numbers } of made) expect(numbersOf(older)).toEqual(numbers);
});
