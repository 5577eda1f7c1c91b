import { join } from 'node:path';
import { expect, test } from 'vitest';
import { baseSettings } from '../../test/support/base-settings.ts';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { revision } from '../model/revision.ts';
import { describeConflict } from './conflict.ts';
import { loadTemplates } from './load-templates.ts';
import { configWriter, renderAll } from './render.ts';
import { nothingRendered } from './rendered.ts';

const templates = await loadTemplates(join(import.meta.dirname, '../../templates'), undefined);

/** Renders a policy with this certificate. */
function made(certificate: string, claims: Readonly<Record<string, string>>) {
  const keys = {
    'services/web': JSON.stringify({ tls: { ca: 'ca.pem', certificate } }),
    'instances/web/a': '10.0.0.1:443',
    ...claims,
  };
  const changes = Object.entries(keys).map(([key, value]) => {
    return { kind: 'put', entry: { key, value, revision: revision(1n), leased: false } } as const;
  });
  const { catalog } = foldEvent(emptyCatalog, { kind: 'changes', revision: revision(1n), changes });
  const { rendered, conflicts } = renderAll(templates, baseSettings, nothingRendered, catalog);
  const files = configWriter()(rendered).match(/ crt \S+/g) ?? [];
  return {
    files: new Set(files.map((file) => file.replace(/.*\//, ''))),
    conflicts: (conflicts ?? []).map(describeConflict),
  };
}

test('a service has the balancer show a certificate only if a claim allows it, or if it is named after the service', () => {
  const bounded = { 'claims/*': '{"certificates":[]}' };
  expect(made('shop.pem', {})).toEqual({ files: new Set(['shop.pem']), conflicts: [] });
  expect(made('web.pem', bounded)).toEqual({ files: new Set(['web.pem']), conflicts: [] });
  expect(made('shop.pem', { ...bounded, 'claims/web': '{"certificates":["shop.pem"]}' }).files).toEqual(
    new Set(['shop.pem']),
  );
  expect(made('shop.pem', bounded)).toEqual({
    files: new Set(),
    conflicts: [
      'web does not get the certificate shop.pem for its servers: no claim allows it (claims/web, else claims/*)',
    ],
  });
});
