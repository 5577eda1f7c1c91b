import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allowsHost } from '../model/allowance.ts';
import type { ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import type { Change, Entry } from '../registry/registry.ts';
import { type Catalog, emptyCatalog, foldEvent } from './catalog.ts';

const entry = (key: string, value: string): Entry => ({ key, value, revision: revision(1n), leased: false });
const [web, api] = ['web' as ServiceName, 'api' as ServiceName];

function fold(catalog: Catalog, entries: Readonly<Record<string, string | undefined>>) {
  const changes = Object.entries(entries).map(
    ([key, value]): Change =>
      value === undefined ? { kind: 'delete', key, revision: revision(1n) } : { kind: 'put', entry: entry(key, value) },
  );
  return foldEvent(catalog, { kind: 'changes', revision: revision(2n), changes });
}

test('what operators let a service claim is said for it, or else for all, field by field', () => {
  const first = fold(emptyCatalog, { 'services/web': '{}', 'instances/api/a': '10.0.0.1:80' });
  expect(first.catalog.services.get(web)?.allowed).toEqual({ hosts: undefined, priority: 0 });
  const second = fold(first.catalog, { 'claims/*': '{"hosts":[]}', 'claims/web': '{"priority":5}' });
  expect([...second.touched].map(([name, { whole }]) => [name, whole])).toEqual([
    ['web', true],
    ['api', true],
  ]);
  expect(second.catalog.services.get(web)?.allowed).toEqual({ hosts: new Set(), priority: 5 });
  expect(second.catalog.services.get(api)?.allowed).toEqual({ hosts: new Set(), priority: 0 });
  const third = fold(second.catalog, { 'claims/web': '{"priority":5,"hosts":["*.example"]}', 'claims/api': '{}' });
  expect([...third.touched.keys()]).toEqual(['web']);
  const allowed = third.catalog.services.get(web)?.allowed ?? { hosts: new Set(), priority: 0 };
  const hosts = ['a.example', '*.example', 'b.a.example', 'example', '*', 'web', 'web.*', 'web.other'];
  expect(hosts.filter((host) => allowsHost(allowed, web, host))).toEqual(['a.example', '*.example', 'web', 'web.*']);
  const fourth = fold(third.catalog, { 'claims/*': undefined, 'claims/web': undefined });
  expect(fourth.catalog.services.get(web)?.allowed).toEqual({ hosts: undefined, priority: 0 });
});

test.each([
  ['{"hosts":["A"]}', 'hosts.0: "A" is not a host'],
  ['{"priority":1001}', 'priority: it is not a whole number from 0 to 1000'],
  ['{"priority":-1}', 'priority: it is not a whole number'],
  ['{"hostz":[]}', '"hostz" is not a field of a claim'],
  ['[]', 'it is not a JSON object'],
])('a claim %s is refused and the last good one counts: %s', (value, reason) => {
  const { catalog } = fold(emptyCatalog, { 'services/web': '{}', 'claims/*': '{"hosts":[]}' });
  const after = fold(catalog, { 'claims/*': value });
  expect(after.rejections[0]).toMatchObject({ key: 'claims/*', lastGoodServes: true });
  expect(after.rejections[0]?.reason.slice(0, reason.length)).toBe(reason);
  expect(after.catalog.services.get(web)?.allowed.hosts).toEqual(new Set());
});

test('after any history a service may claim what it may if everything comes at once', () => {
  const change = fc.oneof(
    fc.tuple(fc.constantFrom('services/web', 'services/api'), fc.constantFrom('{}', '{"maxconn":5}', undefined)),
    fc.tuple(fc.constantFrom('instances/web/a', 'instances/api/a'), fc.constantFrom('10.0.0.1:80', undefined)),
    fc.tuple(
      fc.constantFrom('claims/web', 'claims/*'),
      fc.constantFrom('{"hosts":["*.x"]}', '{"hosts":[]}', '{"priority":5}', '{}', undefined),
    ),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (history) => {
      let catalog = emptyCatalog;
      const tree = new Map<string, string | undefined>();
      for (const [key, value] of history) {
        const before = catalog;
        const folded = fold(catalog, { [key]: value });
        catalog = folded.catalog;
        tree.set(key, value);
        for (const [name, service] of catalog.services) {
          const isSame = before.services.get(name)?.allowed === service.allowed;
          if (!isSame) expect(folded.touched.get(name)?.whole).toBe(true);
        }
      }
      const atOnce = fold(emptyCatalog, Object.fromEntries(tree)).catalog;
      const allowed = ({ services }: Catalog) => [...services].map(([name, one]) => [name, one.allowed]).sort();
      expect(allowed(catalog)).toEqual(allowed(atOnce));
    }),
    { numRuns: 300 },
  );
});
