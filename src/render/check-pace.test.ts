import { join } from 'node:path';
import fc from 'fast-check';
import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import { baseSettings } from '../../test/support/base-settings.ts';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import type { Service } from '../catalog/service.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import { checkPace, describePace, mostChecksPerSecond, withPaced } from './check-pace.ts';
import { loadTemplates } from './load-templates.ts';
import { renderAll, renderDirty } from './render.ts';
import { nothingRendered, type RenderedBackend } from './rendered.ts';

const name = 'web' as ServiceName;

function service(intervalMs: number, count: number): Service {
  const put = (key: string, value: string) =>
    ({ kind: 'put', entry: { key, value, revision: revision(1n), leased: false } }) as const;
  const policy = { check: { kind: 'tcp', interval: `${intervalMs}ms` } };
  const changes = [put('services/web', JSON.stringify(policy)), put('instances/web/a', '10.0.0.1:80')];
  const { catalog } = foldEvent(emptyCatalog, { kind: 'changes', revision: revision(1n), changes });
  const [one, of] = [catalog.services.get(name), catalog.services.get(name)?.instances.first()];
  if (one === undefined || of === undefined) throw new Error('a test has good values');
  return { ...one, instances: PersistentMap(Array.from({ length: count }, (_, i) => [`${i}` as InstanceId, of])) };
}

const backend = { name, section: { before: '', indent: '', after: '' }, servers: PersistentMap<InstanceId, string>() };
const paced = (wishedMs: number, intervalMs: number): RenderedBackend => ({
  ...backend,
  checkPace: { wishedMs, intervalMs },
});

const checkIntervalMs = (wishedMs: number, instances: number, before?: RenderedBackend) =>
  checkPace(service(wishedMs, instances), before)?.intervalMs ?? 0;

test.each([
  [50, 3, 50],
  [50, 100, 50],
  [50, 101, 100],
  [50, 3000, 1600],
  [2000, 4000, 2000],
  [2000, 4001, 4000],
  [2000, 10_000, 8000],
])('an interval of %i ms with %i instances is %i ms', (wished, instances, ms) => {
  expect(checkIntervalMs(wished, instances)).toBe(ms);
});

test('all instances of a service together are checked 2000 times a second at most, as often as wished where that is less', () => {
  const durations = fc.integer({ min: 50, max: 3_600_000 });
  fc.assert(
    fc.property(durations, fc.nat(500), fc.option(durations, { nil: undefined }), (wished, twenties, before) => {
      const instances = twenties * 20;
      const ms = checkIntervalMs(wished, instances, before === undefined ? undefined : paced(wished, before));
      expect(ms).toBeGreaterThanOrEqual(wished);
      expect((instances * 1000) / ms).toBeLessThanOrEqual(mostChecksPerSecond);
      if (before === undefined && (instances * 1000) / wished <= mostChecksPerSecond) expect(ms).toBe(wished);
    }),
  );
});

test('instances that come and go at the limit change the interval once', () => {
  const changesOf = (counts: readonly number[]) => {
    let ms = checkIntervalMs(2000, 4000);
    let changes = 0;
    for (const count of counts) {
      const next = checkIntervalMs(2000, count, paced(2000, ms));
      if (next !== ms) changes += 1;
      ms = next;
    }
    return { changes, ms };
  };
  expect(changesOf([4001, 3999, 4001, 2500, 4001, 2001])).toEqual({ changes: 1, ms: 4000 });
  expect(changesOf([4001, 2000])).toEqual({ changes: 2, ms: 2000 });
  expect(changesOf(Array.from({ length: 100 }, (_, i) => 100 * i))).toEqual({ changes: 2, ms: 8000 });
});

test('another interval in the policy counts at once', () => {
  expect(checkIntervalMs(3000, 4001, paced(4000, 4000))).toBe(3000);
  expect(checkIntervalMs(2000, 3000, paced(4000, 4000))).toBe(2000);
});

test('a new process keeps the interval that HAProxy has', () => {
  const line = (ms: number) => `server a 10.0.0.1:80 weight 100 check inter ${ms}ms rise 1 fall 3`;
  const readBack = (ms: number) => ({ ...backend, servers: PersistentMap([['a' as InstanceId, line(ms)]]) });
  expect(checkIntervalMs(2000, 3000, readBack(4000))).toBe(4000);
  expect(checkIntervalMs(2000, 3000, readBack(3000))).toBe(2000);
  expect(checkIntervalMs(2000, 10, readBack(4000))).toBe(2000);
});

test('a service that grows beyond the limit has all of its servers rendered, as if it had been so large before', async () => {
  const templates = await loadTemplates(join(import.meta.dirname, '../../templates'), undefined);
  let catalog = emptyCatalog;
  let rendered = nothingRendered;
  const put = (keys: readonly (readonly [string, string])[]) => {
    const at = revision(BigInt(catalog.revision) + 1n);
    const changes = keys.map(([key, value]) => {
      return { kind: 'put', entry: { key, value, revision: at, leased: false } } as const;
    });
    const folded = foldEvent(catalog, { kind: 'changes', revision: at, changes });
    catalog = folded.catalog;
    const dirty = withPaced(folded.dirty, catalog, rendered);
    rendered = renderDirty(templates, baseSettings, rendered, catalog, dirty).rendered;
    const all = renderAll(templates, baseSettings, nothingRendered, catalog).rendered;
    const [some, whole] = [rendered, all].map(({ backends }) => backends.get(name)?.servers.toObject());
    expect(some).toEqual(whole);
    return [...new Set(Object.values(some ?? {}).map((line) => / inter \S+/.exec(line)?.[0]))];
  };
  const instances = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => [`instances/web/i${from + i}`, '10.0.0.1:80'] as const);
  const policy = ['services/web', '{"check":{"kind":"http","interval":"50ms"}}'] as const;
  expect(put([policy, ...instances(0, 100)])).toEqual([' inter 50ms']);
  expect(put(instances(100, 101))).toEqual([' inter 100ms']);
  expect(put(instances(101, 300))).toEqual([' inter 200ms']);
  const backend = rendered.backends.get(name);
  expect(backend && describePace(backend)).toBe(
    'with 300 instances each is checked every 200ms instead of 50ms: a service gets at most 2000 checks per second',
  );
});
