import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fairShare } from '../model/fair-share.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import type { Change, Entry } from '../registry/registry.ts';
import { type Catalog, emptyCatalog, type Folded } from './catalog.ts';
import { foldEvent } from './fold-event.ts';
import { type CatalogLimits, defaultCatalogLimits, noLimits, overrideRoom } from './limits.ts';

type Put = { readonly key: string; readonly value: string; readonly bytes: number };
/** A put, or the deletion of a key. */
type WriteStep = Put | { readonly key: string; readonly value: undefined };

const fixed = 64 + '10.0.0.1'.length;
const none: readonly never[] = [];

/** An instance that counts for so many bytes more than the smallest. */
function instance(service: string, id: string, more: number, state = 'ready', unknown = ''): Put {
  const meta = more === 0 ? {} : { meta: { m: 'x'.repeat(more - 1) } };
  const value = JSON.stringify({ address: '10.0.0.1:80', state, ...meta, unknown });
  return { key: `instances/${service}/${id}`, value, bytes: fixed + more };
}

const policy = (service: string, more: number): Put => {
  const value = '{}'.padEnd(2 + more);
  return { key: `services/${service}`, value, bytes: value.length };
};

const override = (service: string, scope: string, why: number): Put => {
  const value = JSON.stringify({ kind: 'drain', why: 'y'.repeat(why) });
  return { key: `overrides/${service}/${scope}`, value, bytes: 64 + why };
};

/** A registry that is written to and that balancers follow. */
class Writing {
  #at = 0n;
  readonly entries = new Map<string, Entry>();
  readonly asked = new Map<string, Put>();

  write(step: WriteStep): Change | undefined {
    const now = revision(this.#at + 1n);
    const before = this.entries.get(step.key);
    if (step.value === undefined && before === undefined) return undefined;
    this.#at += 1n;
    if (step.value === undefined) {
      this.entries.delete(step.key);
      this.asked.delete(step.key);
      return { kind: 'delete', key: step.key, revision: now };
    }
    const created = before && (before.created ?? before.revision);
    const entry = { key: step.key, value: step.value, revision: now, leased: true, ...(created && { created }) };
    this.entries.set(step.key, entry);
    this.asked.set(step.key, step);
    return { kind: 'put', entry };
  }

  get at() {
    return revision(this.#at);
  }

  /** The entries that a service wrote in these areas. */
  of(service: string, areas: readonly string[]): readonly Put[] {
    return [...this.asked.values()].filter(({ key }) =>
      areas.some((area) => `${key}/`.startsWith(`${area}/${service}/`)),
    );
  }
}

const change = (catalog: Catalog, limits: CatalogLimits, at: Catalog['revision'], changes: readonly Change[]): Folded =>
  foldEvent(catalog, { kind: 'changes', revision: at, changes }, limits);

function snapshot(catalog: Catalog, limits: CatalogLimits, { at, entries }: Pick<Writing, 'at' | 'entries'>): Folded {
  const event = { kind: 'snapshot', history: { kind: 'first' }, revision: at, cluster: '', entries } as const;
  return foldEvent(catalog, event, limits);
}

/** The public parts of a catalog. */
const seen = ({ services, overrides, accepted, rejected, shares, overrideShares }: Catalog) => ({
  services: services.map(({ declared, instances }) => ({ declared, instances: instances.toJS() })).toJS(),
  overrides: overrides.toJS(),
  accepted: [...accepted.keys()].sort(),
  rejected: [...rejected.values()].map(({ key, reason }) => `${key}: ${reason}`).sort(),
  totals: [shares.total, overrideShares.total],
  asked: [shares.asked.toJS(), overrideShares.asked.toJS()],
  cuts: [shares, overrideShares].map(({ cuts }) =>
    cuts.map(({ taken, waiting, ranking }) => [taken, ranking.length, [...waiting.keys()].sort()]).toJS(),
  ),
});

const names = ['a', 'b', 'c', 'd'];
const ids = ['1', '2', '3', '4', '5', '6'];
const step: fc.Arbitrary<WriteStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(...names), fc.constantFrom(...ids), fc.integer({ min: 0, max: 90 }), fc.boolean())
      .map(([service, id, more, ready]) => instance(service, id, more, ready ? 'ready' : 'draining')),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...names), fc.integer({ min: 0, max: 90 }))
      .map(([service, more]) => policy(service, more)),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...names), fc.constantFrom(...ids, '*'), fc.integer({ min: 1, max: 256 }))
      .map(([service, scope, why]) => override(service, scope, why)),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...names), fc.constantFrom('instances', 'overrides'), fc.constantFrom(...ids))
      .map(([service, area, id]) => ({ key: `${area}/${service}/${id}`, value: undefined })),
  },
  { weight: 1, arbitrary: fc.constantFrom(...names).map((name) => ({ key: `services/${name}`, value: undefined })) },
);
const history = fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { maxLength: 25 });
const limitsOf = fc
  .record({ totalBytes: fc.integer({ min: 300, max: 1500 }), entries: fc.integer({ min: 4, max: 24 }) })
  .chain((some) => fc.integer({ min: 2, max: 7 }).map((instances) => ({ ...noLimits, ...some, instances })));

const size = (puts: readonly Put[]) => puts.reduce((sum, { bytes }) => sum + bytes, 0);

describe('whatever is written in whatever order', () => {
  test('a service within its share gets all that it asks for, and all together keep the limits', () => {
    fc.assert(
      fc.property(history, limitsOf, (steps, limits) => {
        const registry = new Writing();
        let catalog = emptyCatalog;
        for (const batch of steps) {
          const changes = batch.flatMap((one) => registry.write(one) ?? none);
          catalog = change(catalog, limits, registry.at, changes).catalog;
          const served = names.map((name) => registry.of(name, ['instances', 'services']));
          const shares = {
            bytes: fairShare(served.map(size), limits.totalBytes),
            entries: fairShare(
              served.map((puts) => puts.length),
              limits.entries,
            ),
          };
          for (const puts of served) {
            const instances = puts.filter(({ key }) => key.startsWith('instances/')).length;
            if (size(puts) > shares.bytes || puts.length > shares.entries || instances > limits.instances) continue;
            const refused = puts.filter(({ key, value }) => catalog.accepted.get(key)?.value !== value);
            expect(refused).toEqual([]);
          }
          const taken = [...catalog.accepted.values()].filter(({ key }) => !key.startsWith('overrides/'));
          expect(taken.length).toBeLessThanOrEqual(limits.entries);
          const bytes = taken.reduce((sum, { key }) => sum + (registry.asked.get(key)?.bytes ?? Number.NaN), 0);
          expect(bytes).toBeLessThanOrEqual(limits.totalBytes);
          for (const { instances } of catalog.services.values()) {
            expect(instances.size).toBeLessThanOrEqual(limits.instances);
          }
          // There is room of its own for many more overrides than there are here.
          const overrides = names.flatMap((name) => registry.of(name, ['overrides']));
          expect(overrides.filter(({ key }) => !catalog.accepted.has(key))).toEqual([]);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a catalog that followed it is the one that a restart makes', () => {
    fc.assert(
      fc.property(history, limitsOf, fc.infiniteStream(fc.nat()), (steps, limits, random) => {
        const registry = new Writing();
        let catalog = emptyCatalog;
        for (const batch of steps) {
          const changes = batch.flatMap((one) => registry.write(one) ?? none);
          catalog = change(catalog, limits, registry.at, changes).catalog;
        }
        const shuffled = [...registry.entries]
          .map((entry) => ({ entry, by: random.next().value }))
          .sort((a, b) => a.by - b.by)
          .map(({ entry }) => entry);
        const entries = new Map(shuffled);
        const anew = snapshot(emptyCatalog, limits, { at: registry.at, entries }).catalog;
        expect(seen(catalog)).toEqual(seen(anew));
        // To read everything again changes nothing.
        expect(seen(snapshot(catalog, limits, registry).catalog)).toEqual(seen(anew));
        // A waiting entry is accepted at once when there is room.
        expect(snapshot(catalog, noLimits, registry).catalog.accepted.size).toBe(registry.entries.size);
      }),
      { numRuns: 60 },
    );
  });

  test('a change of state is never refused, and never has another instance refused', () => {
    fc.assert(
      fc.property(history, limitsOf, fc.nat(), (steps, limits, which) => {
        const registry = new Writing();
        const changes = steps.flat().flatMap((one) => registry.write(one) ?? none);
        const { catalog } = change(emptyCatalog, limits, registry.at, changes);
        const there = [...catalog.accepted.values()].filter(({ key }) => key.startsWith('instances/'));
        const chosen = there[which % there.length];
        if (chosen === undefined) return;
        const value = JSON.stringify({ ...JSON.parse(chosen.value), state: 'maintenance', weight: 256, at: 2 ** 50 });
        const said = registry.write({ key: chosen.key, value, bytes: registry.asked.get(chosen.key)?.bytes ?? 0 });
        const after = change(catalog, limits, registry.at, said === undefined ? [] : [said]);
        expect(after.rejections).toEqual([]);
        expect(after.catalog.accepted.get(chosen.key)?.value).toBe(value);
        expect([...after.catalog.accepted.keys()].sort()).toEqual([...catalog.accepted.keys()].sort());
      }),
      { numRuns: 60 },
    );
  });
});

describe('a service that has more than its share', () => {
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

  test('loses its newest instances to others, and gets them back when there is room', () => {
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

  test('is served nothing without its policy', () => {
    const { catalog } = follow({ totalBytes: 200 }, instance('web', 'a', 0), policy('web', 400));
    expect(catalog().services.size).toBe(0);
    expect([...catalog().rejected.keys()].sort()).toEqual(['instances/web/a', 'services/web']);
  });

  test('gets no more overrides than its share of the room for them', () => {
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

  test('with 4,100 unknown fields of 64 kB takes room for 4,100 addresses', () => {
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
  ])('counts for what is kept of it, in memory or as UTF-8: %s', (_, character, bytes) => {
    const meta = Object.fromEntries(Array.from({ length: 32 }, (_none, i) => [`k${10 + i}`, character.repeat(256)]));
    const { catalog } = follow(
      {},
      { key: 'instances/evil/a', value: JSON.stringify({ address: '10.0.0.1:80', meta }), bytes },
    );
    expect(catalog().shares.total).toMatchObject({ bytes });
  });

  test('counts twice for a value that one character makes wide', () => {
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
  ])('has nothing of another service refused, whatever it writes: %s', (_, evil) => {
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
