import { join } from 'node:path';
import { expect, test } from 'vitest';
import { baseSettings } from '../../test/support/base-settings.ts';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { allDirty } from '../model/dirty-set.ts';
import { revision } from '../model/revision.ts';
import { loadTemplates } from './load-templates.ts';
import { renderAll, renderDirty } from './render.ts';
import { nothingRendered } from './rendered.ts';

const templates = await loadTemplates(join(import.meta.dirname, '../../templates'), undefined);

function catalogOf(keys: Readonly<Record<string, string>>) {
  const changes = Object.entries(keys).map(([key, value]) => {
    return { kind: 'put', entry: { key, value, revision: revision(1n), leased: false } } as const;
  });
  return foldEvent(emptyCatalog, { kind: 'changes', revision: revision(1n), changes }).catalog;
}

test('a policy is named by 128 bits of what it says, and its socket by 72', () => {
  const catalog = catalogOf({ 'services/web': '{"rateLimit":{"requests":3,"per":"1h"}}' });
  const { policies } = renderAll(templates, baseSettings, nothingRendered, catalog).rendered;
  expect(policies.size).toBe(2);
  for (const [name, text] of policies) {
    expect(name).toMatch(/^policy-[0-9a-f]{32}$/);
    expect(text).toMatch(new RegExp(`^defaults ${name} from _base\n`));
  }
  const sockets = [...policies.values()].flatMap((text) => text.match(/unix@\S+/g) ?? []);
  expect(sockets).toEqual([expect.stringMatching(/^unix@\/run\/[A-Za-z0-9_-]{12}$/)]);
});

test('a policy that has the name of another one is a problem, and does not take its place', () => {
  const catalog = catalogOf({ 'services/web': '{"retries":{"count":2}}' });
  const { rendered } = renderAll(templates, baseSettings, nothingRendered, catalog);
  const [name = ''] = [...rendered.policies].find(([, text]) => text.includes('retries 2')) ?? [];
  const before = { ...nothingRendered, policies: rendered.policies.set(name, 'of another') };
  const after = renderDirty(templates, baseSettings, before, catalog, allDirty(catalog.services.keys()));
  expect(after.problems).toMatchObject([
    { service: 'web', reason: expect.stringContaining(`another policy has the name ${name} already`) },
  ]);
  expect(after.rendered.policies.get(name)).toBe('of another');
  expect(after.rendered.backends.size).toBe(0);
});
