import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { emptyCatalog } from '../../catalog/catalog.ts';
import { makeMetric } from '../../metrics/make-metric.ts';
import { revision } from '../../model/revision.ts';
import { loadTemplates } from '../../render/load-templates.ts';
import { nothingRendered } from '../../render/rendered.ts';
import { pathsOf } from './paths.ts';
import { StateFiles } from './state-files.ts';
import { Storage, storageMetrics } from './storage.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pm-state-'));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(dir, { recursive: true, force: true });
});

test('the catalog is saved again no sooner than 20 times what it took', async () => {
  let now = 0;
  const paths = pathsOf(dir);
  const storage = new Storage({
    metrics: storageMetrics(makeMetric(new Registry())),
    logger: pino({ level: 'silent' }),
    now: () => now,
  });
  const worked = vi.spyOn(storage, 'worked');
  const files = new StateFiles({
    paths,
    check: () => Promise.reject(new Error('not asked')),
    templates: await loadTemplates(join(import.meta.dirname, '../../../templates'), undefined),
    storage,
    // Asked while it is saved.
    wall: () => {
      now += 5000;
      return new Date(0);
    },
    now: () => now,
  });
  const known = (at: bigint) => ({ ...emptyCatalog, revision: revision(at) });
  const saved = async () => JSON.parse(await readFile(paths.lastKnown, 'utf8').catch(() => '{}')).revision;
  const pass = (ms: number) => {
    now += ms;
    vi.advanceTimersByTime(ms);
  };
  files.saveSoon(nothingRendered, known(1n));
  pass(1000);
  await until('it is saved', async () => (await saved()) === '1');
  await until('that is known', () => worked.mock.calls.some(([what]) => what === 'catalog'));
  files.saveSoon(nothingRendered, known(2n));
  pass(99_000);
  files.saveSoon(nothingRendered, known(3n));
  expect(await saved()).toBe('1');
  pass(1000);
  await until('it is saved again', async () => (await saved()) === '3');
});
