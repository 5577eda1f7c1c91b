import { expect, test } from 'vitest';
import { entry } from '../../test/support/entries.ts';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { revision } from '../model/revision.ts';
import { servicesViewer } from './view.ts';

test('a change of one instance leaves the views of its siblings and of other services as they are', () => {
  const keys = ['web/a', 'web/b', 'web/c', 'web/d', 'api/a', 'api/b'];
  const entries = new Map(keys.map((key) => [`instances/${key}`, entry(`instances/${key}`, '10.0.0.1:80')]));
  const at = revision(1n);
  const { catalog } = foldEvent(emptyCatalog, {
    kind: 'snapshot',
    history: { kind: 'first' },
    revision: at,
    cluster: 'test',
    entries,
  });
  const view = servicesViewer();
  const before = view(catalog);
  const changes = [{ kind: 'put', entry: entry('instances/web/c', '10.0.0.2:80') }] as const;
  const after = view(foldEvent(catalog, { kind: 'changes', revision: revision(2n), changes }).catalog);

  expect(after.service['web']?.instances.map(({ host }) => host)).toEqual([
    '10.0.0.1',
    '10.0.0.1',
    '10.0.0.2',
    '10.0.0.1',
  ]);
  expect(after.service['web']?.instances[1]).toBe(before.service['web']?.instances[1]);
  expect(after.service['api']?.instances).toBe(before.service['api']?.instances);
  expect(after.services.map(({ name, first, last }) => [name, first, last])).toEqual([
    ['api', true, false],
    ['web', false, true],
  ]);
});
