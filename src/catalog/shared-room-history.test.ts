import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  change,
  instance,
  none,
  override,
  type Put,
  policy,
  snapshot,
  type WriteStep,
  Writing,
} from '../../test/support/written.ts';
import { fairShare } from '../model/fair-share.ts';
import { type Catalog, emptyCatalog } from './catalog.ts';
import { noLimits } from './limits.ts';

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

test('whatever is written, a service within its share gets all that it asks for, and all together keep the limits', () => {
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

test('a catalog that followed any writes is the one that a restart makes', () => {
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
