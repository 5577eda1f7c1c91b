import { describe, expect, test } from 'vitest';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { type InstanceId, parseServiceName, type ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import type { Change, Entry, RegistryEvent } from '../../registry/registry.ts';
import { defaultGuardPolicy, emptyGuard, type Guard, stepGuard } from './guard.ts';
import { guardEvents, guardedCatalog } from './losses.ts';

const web = 'web' as ServiceName;
const at = revision(1n);

const entry = (key: string, value: string, leased: boolean): Entry => ({ key, value, revision: at, leased });
const put = (id: string, { leased = true, state = 'ready' } = {}): Change => ({
  kind: 'put',
  entry: entry(`instances/web/${id}`, JSON.stringify({ address: '10.0.0.1:80', state }), leased),
});
const gone = (id: string): Change => ({ kind: 'delete', key: `instances/web/${id}`, revision: at });

function fold(
  catalog: Catalog,
  event: RegistryEvent | readonly Change[],
  isOverridden = (_: ServiceName, _id: InstanceId) => false,
) {
  const folded = foldEvent(catalog, 'kind' in event ? event : { kind: 'changes', revision: at, changes: event });
  return { ...folded, events: guardEvents(folded, isOverridden) };
}

const six = fold(
  emptyCatalog,
  ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => put(id)),
).catalog;

const expiredOf = ({ events }: ReturnType<typeof fold>) => events.flatMap(({ expired }) => expired.map(({ id }) => id));
const leftOf = ({ events }: ReturnType<typeof fold>) => events.flatMap(({ left }) => left);

describe('a loss', () => {
  test('is expiry when a leased key vanishes without a word', () => {
    const folded = fold(six, [gone('a'), gone('b')]);
    expect(expiredOf(folded)).toEqual(['a', 'b']);
    expect(folded.events).toMatchObject([{ service: 'web', present: 4, left: [], put: [] }]);
  });

  test('is a graceful leave when the instance was draining, or in maintenance', () => {
    const draining = fold(six, [put('a', { state: 'draining' }), put('b', { state: 'maintenance' })]).catalog;
    const folded = fold(draining, [gone('a'), gone('b')]);
    expect(expiredOf(folded)).toEqual([]);
    expect(leftOf(folded)).toEqual(['a', 'b']);
  });

  test('is an explicit removal when the key had no lease', () => {
    const folded = fold(fold(six, [put('a', { leased: false })]).catalog, [gone('a')]);
    expect(expiredOf(folded)).toEqual([]);
    expect(leftOf(folded)).toEqual(['a']);
  });

  test('is not held against an operator who took the instance out', () => {
    expect(leftOf(fold(six, [gone('a'), gone('b')], (_, id) => id === 'a'))).toEqual(['a']);
  });

  test('is expiry, too, when a snapshot does not have the key any more', () => {
    const entries = new Map([['instances/web/a', entry('instances/web/a', '10.0.0.1:80', true)]]);
    const folded = fold(six, { kind: 'snapshot', history: { kind: 'first' }, revision: at, cluster: 'c', entries });
    expect(expiredOf(folded).sort()).toEqual(['b', 'c', 'd', 'e', 'f']);
    expect(folded.events).toMatchObject([{ present: 1, put: ['a'] }]);
  });

  test('is none when a value only changed', () => {
    const folded = fold(six, [put('a', { state: 'draining' })]);
    expect(folded.events).toMatchObject([{ present: 6, expired: [], left: [], put: ['a'] }]);
  });
});

test('a leave is graceful also when its draining and its delete come in one fold', () => {
  const folded = fold(six, [put('a', { state: 'draining' }), gone('a'), gone('b')]);
  expect(expiredOf(folded)).toEqual(['b']);
  expect(leftOf(folded)).toEqual(['a']);
});

describe('a guarded service', () => {
  function guarded(catalog: Catalog, changes: readonly Change[]): { catalog: Catalog; guard: Guard } {
    const folded = fold(catalog, changes);
    let guard = emptyGuard(defaultGuardPolicy);
    for (const event of folded.events) guard = stepGuard(guard, 0, event).guard;
    return { catalog: folded.catalog, guard };
  }
  const ids = ({ catalog, guard }: { catalog: Catalog; guard: Guard }) => [
    ...(guardedCatalog(catalog, guard).services.get(web)?.instances.keys() ?? []),
  ];

  test('has what the registry has and what is held', () => {
    expect(ids(guarded(six, [gone('a'), gone('b'), gone('c'), gone('d')])).sort()).toEqual([
      'a',
      'b',
      'c',
      'd',
      'e',
      'f',
    ]);
    expect(ids(guarded(six, [gone('a')])).sort()).toEqual(['b', 'c', 'd', 'e', 'f']);
  });

  test('is there even when the registry has nothing of it left', () => {
    const all = guarded(six, ['a', 'b', 'c', 'd', 'e', 'f'].map(gone));
    expect(all.catalog.services.size).toBe(0);
    expect(ids(all)).toHaveLength(6);
  });

  test('is not there when nobody has it', () => {
    const parsed = parseServiceName('other');
    const { services } = guardedCatalog(six, emptyGuard(defaultGuardPolicy));
    expect(parsed.ok && services.get(parsed.value)).toBeUndefined();
  });
});
