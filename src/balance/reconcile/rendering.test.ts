import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { baseSettings } from '../../../test/support/base-settings.ts';
import { isNightly } from '../../../test/support/nightly.ts';
import { emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { makeMetric } from '../../metrics/make-metric.ts';
import { DirtySetBuilder } from '../../model/dirty-set.ts';
import { revision } from '../../model/revision.ts';
import { loadTemplates } from '../../render/load-templates.ts';
import { nothingRendered } from '../../render/rendered.ts';
import { noQuarantine } from '../quarantine/quarantine.ts';
import { reconcileMetrics } from './reconcile-metrics.ts';
import { Rendering } from './rendering.ts';

const templates = await loadTemplates(join(import.meta.dirname, '../../../templates'), undefined);

const rendering = () =>
  new Rendering({
    templates,
    baseSettings,
    quarantining: {
      state: noQuarantine,
      review: () => ({ services: [], all: false }),
      quarantineUnusable: () => false,
      quarantineUnrendered: () => false,
      refusedTemplate: undefined,
      rendered: () => undefined,
    },
    guarding: { guarded: (catalog) => catalog, holding: false },
    ejecting: { ejected: (catalog) => catalog },
    locating: { located: (catalog) => catalog, permitted: (catalog) => ({ catalog, refused: [] }) },
    openFiles: { limited: (catalog) => catalog, moved: new DirtySetBuilder(), baseChanged: () => undefined },
    metrics: reconcileMetrics(makeMetric(new Registry())),
    rejections: { rendered: () => undefined, conflicting: () => undefined },
  });

test('policies that no service has any more are forgotten, however many there were while no reload was possible', () => {
  const one = rendering();
  let catalog = emptyCatalog;
  let most = 0;
  const last = isNightly ? 3000 : 1000;
  for (let at = 1; at <= last; at += 1) {
    const allow = [`10.0.${at >> 8}.${at & 255}`];
    const put = {
      key: 'services/web',
      value: JSON.stringify({ access: { allow } }),
      revision: revision(String(at)),
      leased: false,
    };
    const event = { kind: 'changes', revision: revision(String(at)), changes: [{ kind: 'put', entry: put }] } as const;
    const folded = foldEvent(catalog, event);
    catalog = folded.catalog;
    one.render(folded.dirty, one.requested(catalog), nothingRendered);
    most = Math.max(most, one.desired.policies.size);
  }
  expect(most).toBeLessThanOrEqual(60);
  expect([...one.desired.policies.values()].join('')).toContain(`10.0.${last >> 8}.${last & 255}`);
});
