import { describe, expect, test } from 'vitest';
import { entry } from '../../test/support/entries.ts';
import type { ServiceName } from '../model/name.ts';
import { defaultPolicy } from '../model/policy.ts';
import { revision } from '../model/revision.ts';
import type { Change } from '../registry/registry.ts';
import { type Catalog, emptyCatalog } from './catalog.ts';
import { foldEvent } from './fold-event.ts';

const put = (key: string, value: string): Change => ({ kind: 'put', entry: entry(key, value) });
const gone = (key: string): Change => ({ kind: 'delete', key, revision: revision(1n) });

const fold = (catalog: Catalog, ...changes: readonly Change[]): Catalog =>
  foldEvent(catalog, { kind: 'changes', revision: revision(2n), changes }).catalog;

function snapshot(catalog: Catalog, ...entries: readonly (readonly [string, string])[]): Catalog {
  const map = new Map(entries.map(([key, value]) => [key, entry(key, value)]));
  const about = { history: { kind: 'first' }, revision: revision(3n), cluster: 'c' } as const;
  return foldEvent(catalog, { kind: 'snapshot', ...about, entries: map }).catalog;
}

const policyOf = ({ services }: Catalog) => services.get('web' as ServiceName)?.policy;

const bad = put('services/web', '{"access":{"allow":["10.0.0.0/8"]},"rateLimt":{}}');
const good = put('services/web', '{"hosts":["a.test"]}');
const instance = put('instances/web/a', '10.0.0.1:80');

describe('a policy that no parser accepts, without a good one before it', () => {
  test('never lets the default policy serve the service, whichever of its keys came first', () => {
    expect(policyOf(fold(emptyCatalog, bad, instance))?.maintenance).toBe(true);
    expect(policyOf(fold(emptyCatalog, instance, bad))?.maintenance).toBe(true);
    expect(policyOf(fold(fold(emptyCatalog, bad), instance))?.maintenance).toBe(true);
    expect(policyOf(fold(fold(emptyCatalog, instance), bad))?.maintenance).toBe(true);
  });

  test('has no effect any more when it is corrected or deleted', () => {
    const catalog = fold(emptyCatalog, bad, instance);
    expect(policyOf(fold(catalog, good))?.maintenance).toBe(false);
    expect(policyOf(fold(catalog, gone('services/web')))).toBe(defaultPolicy);
    expect(policyOf(fold(catalog, good, gone('services/web')))).toBe(defaultPolicy);
  });

  test('has no effect any more if a snapshot is without it, even when its rejection was forgotten', () => {
    const catalog = fold(emptyCatalog, bad, instance);
    for (const rejected of [catalog.rejected, emptyCatalog.rejected]) {
      const after = snapshot({ ...catalog, rejected }, ['instances/web/a', '10.0.0.1:80']);
      expect(policyOf(after)).toBe(defaultPolicy);
      expect(after.withheld.isEmpty()).toBe(true);
    }
  });
});

test('a policy that no parser accepts leaves the good one before it in force', () => {
  const catalog = fold(emptyCatalog, good, instance, bad);
  expect(policyOf(catalog)).toMatchObject({ maintenance: false, routes: [{ hosts: ['a.test'] }] });
  expect(policyOf(fold(catalog, gone('services/web')))).toBe(defaultPolicy);
});

test('a policy that is beyond a limit does not let the default policy serve the service', () => {
  const long = put('services/web', JSON.stringify({ hosts: ['a.test'], x: 'x'.repeat(70_000) }));
  expect(policyOf(fold(emptyCatalog, long, instance))?.maintenance).toBe(true);
});
