import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changesOf } from '../../test/support/entries.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Override } from '../model/override.ts';
import { revision } from '../model/revision.ts';
import { type Catalog, emptyCatalog } from './catalog.ts';
import { endOverrides, foldEvent } from './fold-event.ts';
import { overrideEnd } from './overrides.ts';

const web = 'web' as ServiceName;

const fold = (catalog: Catalog, changes: Readonly<Record<string, string | undefined>>) =>
  foldEvent(catalog, changesOf(changes, { leased: true }));

/** `a:100` and the like: state only when it is not ready. */
function served(catalog: Catalog): string[] {
  const instances = [...(catalog.services.get(web)?.instances.values() ?? [])];
  return instances.map(({ id, weight, state }) => `${id}:${weight}${state === 'ready' ? '' : ` ${state}`}`).sort();
}

const two = fold(emptyCatalog, { 'instances/web/a': '10.0.0.1:80', 'instances/web/b': '10.0.0.2:80' }).catalog;
const drain = '{"kind":"drain"}';
const weight = (n: number) => JSON.stringify({ kind: 'weight', weight: n });

describe('an override', () => {
  test('changes one instance, and touches no other', () => {
    const { catalog, dirty } = fold(two, { 'overrides/web/a': drain });
    expect(served(catalog)).toEqual(['a:100 draining', 'b:100']);
    expect([...dirty]).toEqual([['web', { whole: false, instances: new Set(['a']) }]]);
  });

  test('of the service counts for those without one of their own', () => {
    const { catalog } = fold(two, { 'overrides/web/*': '{"kind":"maintenance"}', 'overrides/web/b': weight(7) });
    expect(served(catalog)).toEqual(['a:100 maintenance', 'b:7']);
    const cleared = fold(catalog, { 'overrides/web/b': undefined }).catalog;
    expect(served(cleared)).toEqual(['a:100 maintenance', 'b:100 maintenance']);
    expect(served(fold(cleared, { 'overrides/web/*': undefined }).catalog)).toEqual(['a:100', 'b:100']);
  });

  test('waits for an instance, or a service, that is not there yet', () => {
    const first = fold(emptyCatalog, { 'overrides/web/*': drain, 'overrides/web/b': weight(3) });
    expect(first.catalog.services.size).toBe(0);
    expect(first.dirty.size).toBe(0);
    const then = fold(first.catalog, { 'instances/web/a': '10.0.0.1:80', 'instances/web/b': '10.0.0.2:80' });
    expect(served(then.catalog)).toEqual(['a:100 draining', 'b:3']);
  });

  test('stays when the registration changes, and when the instance leaves and comes back', () => {
    let { catalog } = fold(two, { 'overrides/web/a': weight(3) });
    catalog = fold(catalog, { 'instances/web/a': '{"address":"10.0.0.9:80","weight":50}' }).catalog;
    expect(served(catalog)).toEqual(['a:3', 'b:100']);
    catalog = fold(catalog, { 'instances/web/a': undefined }).catalog;
    catalog = fold(catalog, { 'instances/web/a': '10.0.0.1:80' }).catalog;
    expect(served(catalog)).toEqual(['a:3', 'b:100']);
  });

  test('takes away and never gives', () => {
    const { catalog } = fold(two, {
      'instances/web/a': '{"address":"10.0.0.1:80","state":"maintenance"}',
      'instances/web/b': '{"address":"10.0.0.2:80","state":"draining"}',
    });
    expect(served(fold(catalog, { 'overrides/web/*': drain }).catalog)).toEqual([
      'a:100 maintenance',
      'b:100 draining',
    ]);
    expect(served(fold(catalog, { 'overrides/web/*': weight(9) }).catalog)).toEqual([
      'a:9 maintenance',
      'b:9 draining',
    ]);
  });

  test('that is malformed is refused, and the one before it stays in force', () => {
    const { catalog } = fold(two, { 'overrides/web/a': drain });
    const bad = fold(catalog, { 'overrides/web/a': '{"kind":"dran"}', 'overrides/web/a/b': drain });
    expect(bad.rejections.map(({ key, lastGoodServes }) => [key, lastGoodServes])).toEqual([
      ['overrides/web/a', true],
      ['overrides/web/a/b', false],
    ]);
    expect(served(bad.catalog)).toEqual(['a:100 draining', 'b:100']);
  });

  test('is over when its time is up, although its key still stands and is read again', () => {
    const { catalog } = fold(two, { 'overrides/web/a': drain });
    const ended = endOverrides(catalog, [{ service: web, scope: 'a' as InstanceId }]);
    expect(served(ended.catalog)).toEqual(['a:100', 'b:100']);
    expect(ended.overrides).toMatchObject([{ kind: 'ended', scope: 'a', reason: 'expired' }]);
    const entries = ended.catalog.accepted.toMap();
    const again = foldEvent(ended.catalog, {
      kind: 'snapshot',
      history: { kind: 'first' },
      revision: revision(2n),
      cluster: 'c',
      entries: new Map(entries),
    });
    expect(served(again.catalog)).toEqual(['a:100', 'b:100']);
    expect(again.overrides).toEqual([]);
  });

  test('tells what ended and what began', () => {
    const first = fold(two, { 'overrides/web/a': drain });
    expect(first.overrides).toMatchObject([{ kind: 'began', service: 'web', scope: 'a' }]);
    const second = fold(first.catalog, { 'overrides/web/a': weight(1) });
    expect(second.overrides).toMatchObject([{ kind: 'ended', reason: 'replaced' }, { kind: 'began' }]);
    const third = fold(second.catalog, { 'overrides/web/a': undefined });
    expect(third.overrides).toMatchObject([{ kind: 'ended', reason: 'removed' }]);
  });

  test('leaves what is served as if everything had come at once, whatever came when', () => {
    const key = fc.constantFrom(
      ...[
        'instances/web/a',
        'instances/web/b',
        'services/web',
        'overrides/web/a',
        'overrides/web/b',
        'overrides/web/*',
      ],
    );
    const instance = fc.constantFrom(...['ready', 'draining', 'maintenance'].map((state) => ({ state })));
    const value = fc.record({
      instance,
      override: fc.constantFrom(drain, '{"kind":"maintenance"}', weight(0), weight(5)),
    });
    const change = fc.tuple(key, fc.option(value, { nil: undefined }));
    fc.assert(
      fc.property(fc.array(change), (history) => {
        let catalog = emptyCatalog;
        const tree = new Map<string, string>();
        for (const [at, made] of history) {
          const text =
            made === undefined || at.startsWith('services/')
              ? made && '{}'
              : at.startsWith('instances/')
                ? JSON.stringify({ address: '10.0.0.1:80', ...made.instance })
                : made.override;
          const before = served(catalog);
          const folded = fold(catalog, { [at]: text });
          // Whoever is served otherwise was touched, or nobody would look.
          if (served(folded.catalog).join() !== before.join()) expect(folded.dirty.size).toBe(1);
          catalog = folded.catalog;
          if (text === undefined) tree.delete(at);
          else tree.set(at, text);
        }
        expect(served(catalog)).toEqual(served(fold(emptyCatalog, Object.fromEntries(tree)).catalog));
      }),
    );
  });
});

describe('the time of an override', () => {
  const hour = 3_600_000;
  const said = (at: number | undefined, until: number | undefined): Override => ({
    effect: { kind: 'drain' },
    who: undefined,
    why: undefined,
    at,
    until,
  });

  test('is none without an end', () => {
    expect(overrideEnd(said(0, undefined), true, { now: 5, wall: 0 })).toBeUndefined();
  });

  test('is as long as it was meant to be for who sees it come, whatever the two clocks say', () => {
    for (const skew of [-hour, 0, hour]) {
      expect(overrideEnd(said(0, 600_000), true, { now: 5, wall: skew })).toBe(600_005);
    }
  });

  test('goes by the wall clock for who finds it there, and is never longer than it was meant to be', () => {
    const found = (wall: number) => overrideEnd(said(0, 600_000), false, { now: 5, wall });
    expect(found(400_000)).toBe(200_005);
    expect(found(-hour)).toBe(600_005);
    expect(found(hour)).toBeLessThan(5);
  });

  test('goes by the wall clock when nobody says when it began', () => {
    expect(overrideEnd(said(undefined, 600_000), true, { now: 5, wall: 590_000 })).toBe(10_005);
  });
});

describe('a maintenance of a whole service', () => {
  const maintenance = JSON.stringify({ kind: 'maintenance' });
  const heldOf = (catalog: Catalog) => catalog.services.get(web)?.suspended?.kind;

  test('holds its requests, whatever comes and goes, until it is over', () => {
    let { catalog } = fold(two, { 'overrides/web/*': maintenance });
    expect(heldOf(catalog)).toBe('maintenance');
    ({ catalog } = fold(catalog, { 'instances/web/a': undefined, 'instances/web/b': undefined }));
    expect(heldOf(catalog)).toBe('maintenance');
    ({ catalog } = fold(catalog, { 'instances/web/c': '10.0.0.3:80' }));
    expect(heldOf(catalog)).toBe('maintenance');
    const over = fold(catalog, { 'overrides/web/*': undefined });
    expect([heldOf(over.catalog), served(over.catalog)]).toEqual([undefined, ['c:100']]);
    expect(over.dirty.get(web)?.whole).toBe(true);
  });

  test('does not while an instance serves by an override of its own', () => {
    let { catalog } = fold(two, { 'overrides/web/a': '{"kind":"weight","weight":50}', 'overrides/web/*': maintenance });
    expect([heldOf(catalog), served(catalog)]).toEqual([undefined, ['a:50', 'b:100 maintenance']]);
    ({ catalog } = fold(catalog, { 'instances/web/a': undefined }));
    expect(heldOf(catalog)).toBe('maintenance');
    ({ catalog } = fold(catalog, { 'instances/web/a': '10.0.0.1:80' }));
    expect(heldOf(catalog)).toBeUndefined();
    ({ catalog } = fold(catalog, { 'overrides/web/a': undefined }));
    expect(heldOf(catalog)).toBe('maintenance');
  });

  test('is not that of one instance', () => {
    expect(heldOf(fold(two, { 'overrides/web/a': maintenance }).catalog)).toBeUndefined();
  });
});

describe('a pause', () => {
  const pause = JSON.stringify({ kind: 'pause', at: '2026-01-01T00:00:00Z', until: '2026-01-01T00:00:30Z' });
  const pausedOf = (catalog: Catalog) => {
    const held = catalog.services.get(web)?.suspended;
    return held?.kind === 'pause' ? held.mostMs : held;
  };

  test('is of the service, and leaves its instances alone', () => {
    const { catalog, dirty } = fold(two, { 'overrides/web/*': pause });
    expect([pausedOf(catalog), served(catalog)]).toEqual([30_000, ['a:100', 'b:100']]);
    expect([...dirty]).toEqual([['web', { whole: true, instances: new Set() }]]);
    const resumed = fold(catalog, { 'overrides/web/*': undefined });
    expect(pausedOf(resumed.catalog)).toBeUndefined();
    expect([...resumed.dirty.keys()]).toEqual(['web']);
  });

  test('ends when its time is up, or something else takes its place', () => {
    const { catalog } = fold(two, { 'overrides/web/*': pause });
    expect(pausedOf(endOverrides(catalog, [{ service: web, scope: '*' }]).catalog)).toBeUndefined();
    const drained = fold(catalog, { 'overrides/web/*': drain }).catalog;
    expect([pausedOf(drained), served(drained)]).toEqual([undefined, ['a:100 draining', 'b:100 draining']]);
  });

  test('keeps the service while all its instances are away', () => {
    const none = { 'instances/web/a': undefined, 'instances/web/b': undefined };
    let { catalog } = fold(two, { 'overrides/web/*': pause, ...none });
    expect(catalog.services.has(web)).toBe(true);
    ({ catalog } = fold(catalog, { 'overrides/web/*': undefined }));
    expect(catalog.services.has(web)).toBe(false);
  });

  test('is not for one instance', () => {
    const { catalog } = fold(two, { 'overrides/web/a': pause });
    expect(catalog.rejected.get('overrides/web/a')?.reason).toContain('only a whole service can be paused');
  });
});
