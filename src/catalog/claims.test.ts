import fc from 'fast-check';
import { expect, test } from 'vitest';
import { changesOf } from '../../test/support/entries.ts';
import { allowsCertificate, allowsHost, allowsPort, noClaim } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';
import { type Catalog, emptyCatalog } from './catalog.ts';
import { foldEvent } from './fold-event.ts';

const [web, api] = ['web' as ServiceName, 'api' as ServiceName];

const fold = (catalog: Catalog, entries: Readonly<Record<string, string | undefined>>) =>
  foldEvent(catalog, changesOf(entries));

test('what operators let a service claim is said for it, or else for all, field by field', () => {
  const first = fold(emptyCatalog, { 'services/web': '{}', 'instances/api/a': '10.0.0.1:80' });
  expect(first.catalog.services.get(web)?.claim).toEqual(noClaim);
  const second = fold(first.catalog, { 'claims/*': '{"hosts":[]}', 'claims/web': '{"priority":5}' });
  expect([...second.dirty].map(([name, { whole }]) => [name, whole])).toEqual([
    ['web', true],
    ['api', true],
  ]);
  expect(second.catalog.services.get(web)?.claim).toEqual({ ...noClaim, hosts: new Set(), priority: 5 });
  expect(second.catalog.services.get(api)?.claim).toEqual({ ...noClaim, hosts: new Set() });
  const third = fold(second.catalog, { 'claims/web': '{"priority":5,"hosts":["*.example"]}', 'claims/api': '{}' });
  expect([...third.dirty.keys()]).toEqual(['web']);
  const claim = third.catalog.services.get(web)?.claim ?? noClaim;
  const hosts = ['a.example', '*.example', 'b.a.example', 'example', '*', 'web', 'web.*', 'web.other'];
  expect(hosts.filter((host) => allowsHost(claim, web, host))).toEqual(['a.example', '*.example', 'web', 'web.*']);
  const fourth = fold(third.catalog, { 'claims/*': undefined, 'claims/web': undefined });
  expect(fourth.catalog.services.get(web)?.claim).toEqual(noClaim);
});

test.each([
  ['{"hosts":["A"]}', 'hosts.0: "A" is not a host'],
  ['{"priority":1001}', 'priority: it is not a whole number from 0 to 1000'],
  ['{"priority":-1}', 'priority: it is not a whole number'],
  ['{"ports":["2-1"]}', 'ports.0: "2-1" is neither a port nor a range of ports ("6000-6099")'],
  ['{"ports":[0]}', 'ports.0: "0" is neither a port'],
  ['{"ports":[65536]}', 'ports.0: "65536" is neither a port'],
  ['{"ports":[1.5]}', 'ports.0: "1.5" is neither a port'],
  ['{"certificates":["../a.pem"]}', 'certificates.0: "../a.pem" is not a file'],
  ['{"hostz":[]}', '"hostz" is not a field of a claim'],
  ['[]', 'it is not a JSON object'],
])('a claim %s is refused and the last good one counts: %s', (value, reason) => {
  const { catalog } = fold(emptyCatalog, { 'services/web': '{}', 'claims/*': '{"hosts":[]}' });
  const after = fold(catalog, { 'claims/*': value });
  expect(after.rejections[0]).toMatchObject({ key: 'claims/*', lastGoodServes: true });
  expect(after.rejections[0]?.reason.slice(0, reason.length)).toBe(reason);
  expect(after.catalog.services.get(web)?.claim.hosts).toEqual(new Set());
});

test('a claim bounds the ports of a service, and the certificates that it has the balancer show', () => {
  const value = '{"ports":[5432,"6000-6099"],"certificates":["shared.pem"]}';
  const { catalog } = fold(emptyCatalog, { 'services/web': '{}', 'services/api': '{}', 'claims/web': value });
  const [ofWeb, ofApi] = [web, api].map((name) => catalog.services.get(name)?.claim ?? noClaim);
  const ports = [1, 5431, 5432, 5433, 5999, 6000, 6099, 6100];
  const files = ['web.pem', 'api.pem', 'shared.pem', 'web.pem.old', 'other.pem'];
  expect(ports.filter((port) => ofWeb && allowsPort(ofWeb, port))).toEqual([5432, 6000, 6099]);
  expect(files.filter((file) => ofWeb && allowsCertificate(ofWeb, web, file))).toEqual(['web.pem', 'shared.pem']);
  expect(ports.filter((port) => ofApi && allowsPort(ofApi, port))).toEqual(ports);
  expect(files.filter((file) => ofApi && allowsCertificate(ofApi, api, file))).toEqual(files);
  const again = fold(catalog, { 'claims/web': '{"ports":["5432","6000-6099"],"certificates":["shared.pem"]}' });
  expect([...again.dirty.keys()]).toEqual([]);
  expect([...fold(catalog, { 'claims/web': '{"ports":[5432]}' }).dirty.keys()]).toEqual(['web']);
});

test('after any history a service may claim what it may if everything comes at once', () => {
  const change = fc.oneof(
    fc.tuple(fc.constantFrom('services/web', 'services/api'), fc.constantFrom('{}', '{"maxconn":5}', undefined)),
    fc.tuple(fc.constantFrom('instances/web/a', 'instances/api/a'), fc.constantFrom('10.0.0.1:80', undefined)),
    fc.tuple(
      fc.constantFrom('claims/web', 'claims/*'),
      fc.constantFrom(
        '{"hosts":["*.x"]}',
        '{"hosts":[]}',
        '{"priority":5}',
        '{"ports":[1]}',
        '{"certificates":[]}',
        '{}',
        undefined,
      ),
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
          const isSame = before.services.get(name)?.claim === service.claim;
          if (!isSame) expect(folded.dirty.get(name)?.whole).toBe(true);
        }
      }
      const atOnce = fold(emptyCatalog, Object.fromEntries(tree)).catalog;
      const claimsOf = ({ services }: Catalog) => [...services].map(([name, one]) => [name, one.claim]).sort();
      expect(claimsOf(catalog)).toEqual(claimsOf(atOnce));
    }),
    { numRuns: 300 },
  );
});
