import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Map as PersistentMap } from 'immutable';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { noLimits } from '../../catalog/limits.ts';
import { revision } from '../../model/revision.ts';
import type { Entry, Held } from '../../registry/registry.ts';
import { isOfRegistry, loadLastKnown, saveLastKnown } from './last-known.ts';
import { linesOf } from './saved-file.ts';

let path: string;
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'pm-last-known-')), 'catalog.json');
});
afterEach(() => rm(join(path, '..'), { recursive: true, force: true }));

const noon = Date.parse('2026-03-01T12:00:00Z');
const replaced = (until: number | undefined): Held => ({
  kind: 'replaced',
  reason: 'it was restored',
  at: noon,
  until,
});
const entry = (key: string, value: string, held?: Held): Entry => ({
  key,
  value,
  revision: revision(7n),
  leased: key.startsWith('instances/'),
  ...(held === undefined ? {} : { held }),
});

/** Saves at noon, when the monotonic clock says 1000. */
async function save(entries: readonly Entry[], values: readonly Entry[] = []): Promise<void> {
  const map = new Map(entries.map((one) => [one.key, one]));
  const { catalog } = foldEvent(emptyCatalog, {
    kind: 'snapshot',
    history: { kind: 'first' },
    revision: revision(9n),
    cluster: 'c',
    entries: map,
  });
  await saveLastKnown(path, { catalog, values }, { now: 1000, wall: new Date(noon) });
}

/** Loads this much later, in a process whose monotonic clock says 50. */
async function load(laterMs: number, holdMs: number | undefined) {
  const loaded = await loadLastKnown(path, noLimits, { now: 50, wall: new Date(noon + laterMs), holdMs });
  if (loaded === undefined || 'unusable' in loaded) throw new Error(`it is there: ${loaded?.unusable}`);
  return loaded;
}
const heldOf = ({ entries }: Awaited<ReturnType<typeof load>>, key: string) =>
  entries.find((one) => one.key === key)?.held;

test('what was known is there again: which history it is of, free values, and what is held', async () => {
  const held = replaced(undefined);
  const policy = entry('services/web', '{"mode":"http"}', held);
  const instance = entry('instances/web/a', '10.0.0.1:80');
  const value = entry('keys/title', 'x', held);
  await save([policy, instance], [value]);
  const loaded = await load(60_000, undefined);
  expect(loaded.point).toEqual({ cluster: 'c', revision: 9n });
  expect(loaded.entries).toHaveLength(3);
  expect(loaded.entries).toEqual(expect.arrayContaining([policy, instance, value]));
  expect(loaded.catalog.accepted.get('services/web')?.held).toEqual(held);
  // What vanished together is released and told together.
  expect(heldOf(loaded, 'services/web')).toBe(heldOf(loaded, 'keys/title'));
});

test('a service has its policy since the same revision as before a restart', async () => {
  await save([{ ...entry('services/web', '{}'), created: revision(3n) }, entry('services/api', '{}')]);
  const { services } = (await load(60_000, undefined)).catalog;
  expect([...services.values()].map(({ name, since }) => [name, since]).sort()).toEqual([
    ['api', 7n],
    ['web', 3n],
  ]);
});

test('the time that entries are held goes on over a restart, and is never longer than the setting says', async () => {
  await save([entry('services/web', '{}', replaced(61_000))]);
  expect(heldOf(await load(20_000, 60_000), 'services/web')?.until).toBe(50 + 40_000);
  expect(heldOf(await load(90_000, 60_000), 'services/web')?.until).toBeLessThan(50);
  // The clock was set back by a day.
  expect(heldOf(await load(-86_400_000, 60_000), 'services/web')?.until).toBe(50 + 60_000);
  expect(heldOf(await load(20_000, 5000), 'services/web')?.until).toBe(50 + 5000);
  expect(heldOf(await load(20_000, undefined), 'services/web')?.until).toBeUndefined();
});

test('a service whose only policy was rejected is not served by the default policy after a restart', async () => {
  await save([entry('services/web', '{"hostz":[]}'), entry('instances/web/a', '10.0.0.1:80')]);
  const { catalog } = await load(60_000, undefined);
  expect([...catalog.services.values()].map(({ policy }) => policy.maintenance)).toEqual([true]);
  expect(catalog.rejected.get('services/web')?.reason).toContain('hostz');
});

test('a file of an earlier version is read, and holds nothing', async () => {
  await save([entry('services/web', '{}')]);
  const { held: _held, values: _values, cluster: _cluster, ...old } = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify(old));
  const loaded = await load(0, undefined);
  expect(loaded.point).toBeUndefined();
  expect(loaded.entries).toMatchObject([{ key: 'services/web' }]);
  expect(heldOf(loaded, 'services/web')).toBeUndefined();
});

test('an entry is a line of its own, so that no string has to hold the whole file', async () => {
  const value = `a\nb\u2028c\r${'é'.repeat(1000)}`;
  const entries = Array.from({ length: 100 }, (_, i) => entry(`keys/k${i}`, value));
  await save([entry('instances/web/a', '10.0.0.1:80')], entries);
  // Cut within a character of two bytes, too.
  const lines: string[] = [];
  for await (const line of linesOf(path, 7)) lines.push(line);
  expect(lines.join('\n')).toBe(await readFile(path, 'utf8'));
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(1200);
  expect((await load(0, undefined)).entries).toHaveLength(101);
});

test('a file that ends too early is not used', async () => {
  await save([entry('instances/web/a', '10.0.0.1:80'), entry('instances/web/b', '10.0.0.1:81')]);
  const text = await readFile(path, 'utf8');
  for (const end of [0, 20, text.indexOf('\n') + 1, text.indexOf('81'), text.lastIndexOf('\n'), text.length - 1]) {
    await writeFile(path, text.slice(0, end));
    const loaded = await loadLastKnown(path, noLimits, { now: 50, wall: new Date(noon), holdMs: undefined });
    expect(loaded, String(end)).toMatchObject({ unusable: expect.any(String) });
  }
});

test('much is saved a piece at a time, and everything else has its turn between two pieces', async () => {
  const value = 'x'.repeat(1000);
  let turn = 0;
  const inTurn = new Map<number, number>();
  const entries = Array.from({ length: 2000 }, (_, i): [string, Entry] => {
    const one = {
      ...entry(`instances/web/i${i}`, value),
      get value() {
        inTurn.set(turn, (inTurn.get(turn) ?? 0) + 1);
        return value;
      },
    };
    return [one.key, one];
  });
  const next = () => {
    turn += 1;
    if (turn > 0) setImmediate(next);
  };
  next();
  const catalog = { ...emptyCatalog, accepted: PersistentMap(entries) };
  await saveLastKnown(path, { catalog, values: [entry('keys/title', 'x')] }, { now: 1000, wall: new Date(noon) });
  turn = Number.NEGATIVE_INFINITY;
  expect([...inTurn.values()].reduce((sum, count) => sum + count)).toBe(2000);
  expect(Math.max(...inTurn.values())).toBeLessThanOrEqual(70);
  const saved = JSON.parse(await readFile(path, 'utf8'));
  expect(new Map(saved.entries).size).toBe(2000);
  expect(saved.entries).toContainEqual(['instances/web/i1999', value, '7', true]);
  expect(saved).toMatchObject({ format: 1, values: [['keys/title', 'x', '7', false]], held: [] });
});

test.each([
  [
    'the same location, although it was wiped since',
    'etcd://h:2379/pointsman/',
    'etcd://h:2379/pointsman/',
    'new',
    true,
  ],
  ['the same cluster and root at another address', 'etcd://h:2379/pointsman/', 'etcds://i:2379/pointsman/', 'c', true],
  ['another root of the same cluster', 'etcd://h:2379/pointsman/', 'etcd://h:2379/staging/', 'c', false],
  ['another cluster at another address', 'etcd://h:2379/pointsman/', 'etcd://i:2379/pointsman/', 'new', false],
  ['another folder', 'dir:/a', 'dir:/b', 'new', false],
  ['the same cluster, saved by an older version', undefined, 'etcd://h:2379/pointsman/', 'c', true],
  ['another cluster, saved by an older version', undefined, 'etcd://h:2379/pointsman/', 'new', false],
])('knows which registry the catalog on disk is of: %s', (_, registry, location, cluster, expected) => {
  const saved = { registry, point: { cluster: 'c', revision: revision(9n) } };
  expect(isOfRegistry(saved, { location, cluster })).toBe(expected);
});
