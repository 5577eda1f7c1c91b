import { join } from 'node:path';
import { expect, test } from 'vitest';
import { baseSettings } from '../../test/support/base-settings.ts';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { revision } from '../model/revision.ts';
import { loadTemplates } from '../render/load-templates.ts';
import { renderAll } from '../render/render.ts';
import { nothingRendered } from '../render/rendered.ts';
import { entryNotes } from './entry-notes.ts';

const templates = await loadTemplates(join(import.meta.dirname, '../../templates'), undefined);

function notes(values: Readonly<Record<string, object>>, haproxy = '3.4.7') {
  const entries = Object.entries(values).map(
    ([key, value]) => [key, { key, value: JSON.stringify(value), revision: revision(1n), leased: false }] as const,
  );
  const snapshot = { kind: 'snapshot', history: { kind: 'first' }, cluster: '', revision: revision(1n) } as const;
  const { catalog } = foldEvent(emptyCatalog, { ...snapshot, entries: new Map(entries) });
  return entryNotes(catalog, renderAll(templates, baseSettings, nothingRendered, catalog).conflicts ?? [], haproxy);
}

test('a check notes which services ask for one thing, and what no claim allows', () => {
  const found = notes({
    'services/web': { hosts: ['shop.example', 'web.example'] },
    'services/api': { hosts: ['shop.example'] },
    'services/db': { mode: 'tcp', port: 5432 },
    'services/other': { mode: 'tcp', port: 5432 },
    'services/beta': { hosts: ['b.example', 'api'] },
    'claims/beta': { hosts: [] },
  });
  expect(found).toEqual([
    'api and web ask for the route shop.example/: the service whose policy is older gets it',
    'beta does not get the hosts api, b.example: no claim allows them (claims/beta, else claims/*)',
    'db and other ask for the port 5432: the service whose policy is older gets it',
  ]);
});

test('a check notes a timeout that this HAProxy has only for tcp services', () => {
  const entries = { 'services/web': { timeouts: { client: '5s' } }, 'services/db': { timeouts: { server: '5s' } } };
  expect(notes(entries)).toEqual([]);
  expect(notes(entries, '2.9.0')).toEqual([]);
  expect(notes(entries, '2.6.12')).toEqual(['web: timeouts.client of an http service needs HAProxy 2.9 or later']);
});

test('a check notes an authentication that asks in a circle', () => {
  const asking = (service: string) => ({ auth: { forward: { service } } });
  expect(notes({ 'services/web': asking('sso'), 'services/sso': {} })).toEqual([]);
  expect(notes({ 'services/web': asking('web') })).toEqual([
    'web: auth.forward asks web, which asks another service itself, so each request gets status 508',
  ]);
  expect(notes({ 'services/a': asking('b'), 'services/b': asking('c') })).toEqual([
    'a: auth.forward asks b, which asks another service itself, so each request gets status 508',
  ]);
});
