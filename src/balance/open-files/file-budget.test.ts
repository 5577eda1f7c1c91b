import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import type { ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import { filesOf, leftOutOf, mostForServices } from './file-budget.ts';

type Sizes = Readonly<Record<string, number>>;

/** Services with so many instances, of which `i1` is the oldest. */
function catalogOf(sizes: Sizes, policies: Readonly<Record<string, string>> = {}): Catalog {
  const keys = [
    ...Object.entries(policies).map(([name, value]) => [`services/${name}`, value] as const),
    ...Object.entries(sizes).flatMap(([name, size]) =>
      Array.from({ length: size }, (_, i) => [`instances/${name}/i${i + 1}`, `10.0.0.1:${i + 1}`] as const),
    ),
  ];
  const entries = new Map(
    keys.map(([key, value], i) => [key, { key, value, revision: revision(BigInt(i + 1)), leased: true }]),
  );
  const snapshot = { kind: 'snapshot', history: { kind: 'first' }, cluster: '', revision: revision(9999n) } as const;
  return foldEvent(emptyCatalog, { ...snapshot, entries }).catalog;
}

const left = (catalog: Catalog, most: number) =>
  Object.fromEntries([...leftOutOf(catalog, most)].map(([name, { ids }]) => [name, [...ids]]));

test('nobody is left out where there is room for all', () => {
  expect(left(catalogOf({ web: 5, shop: 3 }), 8)).toEqual({});
});

test('the newest instances of the largest service are left out, and no other service loses any', () => {
  expect(left(catalogOf({ evil: 6, web: 2, shop: 1 }), 7)).toEqual({ evil: ['i5', 'i6'] });
});

test('two services that are too large keep equally many', () => {
  const out = left(catalogOf({ evil: 9, worse: 12, web: 2 }), 12);
  expect(out['evil']).toHaveLength(4);
  expect(out['worse']).toHaveLength(7);
  expect(Object.keys(out)).toEqual(['evil', 'worse']);
});

test('a service without health checks needs no files for its instances, and loses none', () => {
  const catalog = catalogOf({ quiet: 9, web: 3 }, { quiet: '{"check":{"kind":"none"}}' });
  expect(left(catalog, 2)).toEqual({ web: ['i3'] });
});

test('the port of a tcp service needs a file as well', () => {
  const catalog = catalogOf({ db: 3 }, { db: '{"mode":"tcp","port":5432}' });
  expect(left(catalog, 3)).toEqual({ db: ['i3'] });
});

test('the instances that remain never need more files than the limit allows', () => {
  const sizes = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.integer({ min: 1, max: 20 }));
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 60 }), (each, most) => {
      const catalog = catalogOf(each);
      const out = leftOutOf(catalog, most);
      let files = 0;
      for (const service of catalog.services.values())
        files += filesOf(service) - (out.get(service.name)?.ids.size ?? 0);
      expect(files).toBeLessThanOrEqual(most);
      // Who has fewer than another that keeps all loses none.
      const largestWhole = Math.max(
        0,
        ...Object.keys(each).map((name) => (out.has(name as ServiceName) ? 0 : (each[name] ?? 0))),
      );
      for (const name of out.keys()) expect(each[name]).toBeGreaterThan(largestWhole);
    }),
  );
});

test('a quarter of the open files is left to connections, or what HAProxy needs at least', () => {
  expect(mostForServices({ limit: 4096, own: 40, maxconn: undefined })).toBe(4096 - 40 - 1024);
  expect(mostForServices({ limit: 400, own: 40, maxconn: undefined })).toBe(160);
  expect(mostForServices({ limit: 4096, own: 40, maxconn: 1900 })).toBe(256);
});
