import { expect, test } from 'vitest';
import {
  change,
  fixed,
  instance,
  none,
  override,
  policy,
  type WriteStep,
  Writing,
} from '../../test/support/written.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Change } from '../registry/registry.ts';
import { emptyCatalog, type Folded } from './catalog.ts';
import { type CatalogLimits, defaultCatalogLimits, noLimits, overrideRoom } from './limits.ts';

const ids = ['1', '2', '3', '4', '5', '6'];

const follow = (limits: Partial<CatalogLimits>, ...steps: readonly WriteStep[]) => {
  const registry = new Writing();
  let catalog = emptyCatalog;
  const put = (one: WriteStep): Folded => {
    const said = registry.write(one);
    const folded = change(catalog, { ...noLimits, ...limits }, registry.at, said === undefined ? [] : [said]);
    catalog = folded.catalog;
    return folded;
  };
  for (const one of steps) put(one);
  return { put, registry, catalog: () => catalog };
};

test('a service beyond its share loses its newest instances to others, and gets them back when there is room', () => {
  const large = ids.slice(0, 5).map((id) => instance('large', id, 28));
  const { put, catalog } = follow({ totalBytes: 500 }, ...large);
  const web = put(instance('web', 'a', 78));
  const reason = 'large exceeds its share: the values of all services have more than 500 bytes (--limit-total)';
  expect(web.rejections).toMatchObject([
    { key: 'instances/large/4', reason, lastGoodServes: false },
    { key: 'instances/large/5', reason, lastGoodServes: false },
  ]);
  // Its registration is still there, so no guard counts that as a loss.
  expect(web.removals).toEqual([]);
  expect(catalog().services.get('web' as ServiceName)?.instances.size).toBe(1);
  expect(put(instance('large', '6', 0)).rejections).toMatchObject([{ key: 'instances/large/6', reason }]);
  // A change does not make a key newer.
  expect(put(instance('large', '1', 28, 'draining')).rejections).toEqual([]);
  expect(put(instance('large', '5', 28, 'draining')).dirty.size).toBe(0);
  const room = put({ key: 'instances/web/a', value: undefined });
  expect([...catalog().rejected.keys()]).toEqual(['instances/large/6']);
  expect([...(room.dirty.get('large' as ServiceName)?.instances ?? [])].sort()).toEqual(['4', '5']);
  const five = catalog()
    .services.get('large' as ServiceName)
    ?.instances.get('5' as InstanceId);
  expect(five?.state).toBe('draining');
});

test('a service is served nothing without its policy', () => {
  const { catalog } = follow({ totalBytes: 200 }, instance('web', 'a', 0), policy('web', 400));
  expect(catalog().services.size).toBe(0);
  expect([...catalog().rejected.keys()].sort()).toEqual(['instances/web/a', 'services/web']);
});

test('a service gets no more overrides than its share of the room for them', () => {
  const many = Array.from({ length: 130 }, (_, i) => override('evil', `i${i}`, 1));
  const { put, catalog } = follow({ totalBytes: 60, entries: 2 }, ...many);
  expect(catalog().accepted.size).toBe(100);
  expect(catalog().rejected.get('overrides/evil/i129')?.reason).toBe(
    'evil exceeds its share: there are more than 100 overrides and claims (--limit-entries)',
  );
  expect(put(override('web', '*', 200)).rejections.map(({ key }) => key)).toEqual(['overrides/evil/i99']);
  expect(
    catalog()
      .overrides.get('web' as ServiceName)
      ?.has('*'),
  ).toBe(true);
  expect(overrideRoom(defaultCatalogLimits)).toMatchObject({ bytes: 32 * 1024 * 1024, entries: 25_000 });
});

test('a service with 4,100 unknown fields of 64 kB takes room for 4,100 addresses', () => {
  const registry = new Writing();
  const value = `{"address":"10.0.0.1:80","unknown":"${'x'.repeat(64_000)}"}`;
  const evil = Array.from({ length: 4100 }, (_, i) => ({ ...instance('evil', `e${i}`, 0), value }));
  const others = [instance('web', 'a', 0), instance('web', 'a', 0, 'draining'), override('web', '*', 20)];
  const changes = [...evil, ...others].flatMap((one) => registry.write(one) ?? none);
  const { catalog } = change(emptyCatalog, defaultCatalogLimits, registry.at, changes);
  expect(catalog.rejected.size).toBe(0);
  expect(catalog.shares.total).toEqual({ bytes: 4101 * fixed, entries: 4101, instances: 4101 });
});

test.each([
  ['plain text', 'm', fixed + 32 * (3 + 256)],
  // JSON writes it as two.
  ['what JSON escapes', '"', fixed + 32 * (3 + 512)],
  ['what one byte holds and UTF-8 writes as two', '\u00e9', fixed + 32 * (3 + 512)],
  ['what takes two bytes in memory', '\u0416', 2 * fixed + 32 * (6 + 512)],
  ['what UTF-8 writes as three', '\u6f22', 2 * fixed + 32 * (6 + 768)],
])('an entry counts for what is kept of it, in memory or as UTF-8: %s', (_, character, bytes) => {
  const meta = Object.fromEntries(Array.from({ length: 32 }, (_none, i) => [`k${10 + i}`, character.repeat(256)]));
  const { catalog } = follow(
    {},
    { key: 'instances/evil/a', value: JSON.stringify({ address: '10.0.0.1:80', meta }), bytes },
  );
  expect(catalog().shares.total).toMatchObject({ bytes });
});

test('an entry counts twice for a value that one character makes wide', () => {
  const meta = { a: 'x'.repeat(256), b: '\u0416' };
  const { put, catalog } = follow(
    {},
    { key: 'instances/evil/a', value: JSON.stringify({ address: '10.0.0.1:80', meta }), bytes: 0 },
  );
  expect(catalog().shares.total).toMatchObject({ bytes: 2 * (fixed + 1 + 256 + 1 + 1) });
  const value = JSON.stringify({ address: '10.0.0.1:80', meta, state: 'maintenance', weight: 256 });
  put({ key: 'instances/evil/a', value, bytes: 0 });
  expect(catalog().shares.total).toMatchObject({ bytes: 2 * (fixed + 1 + 256 + 1 + 1) });
  put({ key: 'services/evil', value: `{"hosts":["shop.example"]}${' '.repeat(100)}`, bytes: 0 });
  expect(catalog().shares.total).toMatchObject({ bytes: 2 * (fixed + 1 + 256 + 1 + 1) + 126 });
});

test.each([
  ['instances', (i: number) => instance('evil', `e${i}`, 100)],
  ['policies', (i: number) => policy(`evil${i % 3}`, i)],
  ['overrides', (i: number) => override('evil', `e${i}`, 100)],
])('a service has nothing of another service refused, whatever it writes: %s', (_, evil) => {
  const limits = { totalBytes: 100_000, entries: 300 };
  const { put, catalog } = follow(limits, ...Array.from({ length: 400 }, (_none, i) => evil(i)));
  for (const one of [
    instance('web', 'a', 50),
    policy('web', 20),
    instance('web', 'a', 50, 'draining'),
    override('web', 'a', 20),
    override('web', '*', 20),
  ]) {
    put(one);
    expect(catalog().accepted.get(one.key)?.value).toBe(one.value);
  }
});

test('an entry of a service that came too late is taken when there are fewer services', () => {
  const limits = { ...noLimits, services: 1 };
  const registry = new Writing();
  const write = (one: WriteStep): readonly Change[] => {
    const said = registry.write(one);
    return said === undefined ? none : [said];
  };
  const all = [instance('a', '1', 0), instance('b', '1', 0), instance('b', '2', 0)].flatMap(write);
  const { catalog } = change(emptyCatalog, limits, registry.at, all);
  expect([...catalog.services.keys()]).toEqual(['a']);
  const fewer = change(catalog, limits, registry.at, write({ key: 'instances/a/1', value: undefined }));
  expect(fewer.catalog.services.get('b' as ServiceName)?.instances.size).toBe(2);
  expect([...fewer.catalog.rejected.keys(), ...fewer.catalog.late.keys()]).toEqual([]);
});

test('shares are found quickly where services are far beyond them, and each change is', () => {
  const registry = new Writing();
  const many = Array.from({ length: 20_000 }, (_, i) => instance(`s${i % 3}`, `i${i}`, 0));
  const limits = { ...noLimits, entries: 3000 };
  const changes = many.flatMap((one) => registry.write(one) ?? none);
  const began = process.cpuUsage();
  let { catalog } = change(emptyCatalog, limits, registry.at, changes);
  expect(catalog.accepted.size).toBe(3000);
  for (let i = 0; i < 100; i += 1) {
    const said = registry.write(instance('web', `w${i}`, 0));
    catalog = change(catalog, limits, registry.at, said === undefined ? [] : [said]).catalog;
  }
  expect(catalog.services.get('web' as ServiceName)?.instances.size).toBe(100);
  expect(process.cpuUsage(began).user / 1000).toBeLessThan(8000);
});
