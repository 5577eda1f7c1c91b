import fc from 'fast-check';
import { Set as PersistentSet } from 'immutable';
import { expect, test } from 'vitest';
import { foldEntries } from '../catalog/fold-event.ts';
import { revision } from '../model/revision.ts';
import { isCertifiedKey } from '../model/route-target.ts';
import { changeRoutes, noRoutes, type RouteTable } from './routes.ts';

type Policies = Readonly<Record<string, object>>;
const waiting = { certificate: 'auto', redirect: true };

function change(table: RouteTable, policies: Policies, names: readonly string[]): RouteTable {
  const entries = Object.entries(policies).map(([name, policy], i) => {
    const key = `services/${name}`;
    return [key, { key, value: JSON.stringify(policy), revision: revision(BigInt(i + 1)), leased: false }] as const;
  });
  const { services } = foldEntries(new Map(entries)).catalog;
  return changeRoutes(table, [...table.services.keys(), ...services.keys()], services, PersistentSet(names));
}

const keysOf = ({ routes }: RouteTable) =>
  [...routes.keys()]
    .filter(isCertifiedKey)
    .map((key) => key.slice('CERTIFICATE:'.length))
    .sort();

test('the names of certificates have a key where a redirect waits for them', () => {
  const policies = {
    shop: { hosts: ['shop.example.com', '*.wild.example'], https: waiting },
    any: { hosts: ['any.*'], https: waiting },
    moved: { hosts: ['old.example.org'], https: waiting, redirect: { host: 'new.example.org' } },
    serving: { hosts: ['serving.example.com'], https: { certificate: 'auto' } },
    always: { hosts: ['always.example.com'], https: 'redirect' },
  };
  const used = [
    '*.example.com',
    '*.wild.example',
    'a.wild.example',
    'any.example.net',
    'new.example.org',
    'old.example.org',
  ];
  const unused = ['serving.example.com', 'always.example.com', 'a.b.wild.example', 'example.com', '*.example.net'];
  const table = change(noRoutes, policies, [...used, ...unused]);
  // A wildcard is used if it covers a host that waits. `any.*` fits a name below it, and one name of a wildcard need not be that.
  expect(keysOf(table)).toEqual(used.filter((name) => name !== '*.example.net').sort());
});

test('a key goes with the certificate and not with the policy, whose rules HAProxy may still have', () => {
  const policies = { shop: { hosts: ['shop.example.com'], https: waiting } };
  const names = ['shop.example.com'];
  const before = change(noRoutes, policies, names);
  const after = change(before, { shop: { hosts: ['shop.example.com'], https: 'redirect' } }, names);
  expect(keysOf(after)).toEqual(names);
  expect(keysOf(change(after, {}, []))).toEqual([]);
  expect(keysOf(change(before, policies, []))).toEqual([]);
});

test('after any changes, the keys are those of a table that is made at once, and at most those of all certificates', () => {
  const hosts = ['a.x', 'b.x', '*.x', 'a.*', 'a.y', '*', 'c'];
  const policies = fc.dictionary(
    fc.constantFrom('s', 't', 'u'),
    fc.record({
      hosts: fc.uniqueArray(fc.constantFrom(...hosts), { minLength: 1, maxLength: 3 }),
      https: fc.constantFrom<unknown>(waiting, 'redirect', { certificate: 'auto' }),
    }),
  );
  const names = fc.uniqueArray(fc.constantFrom('a.x', 'b.x', '*.x', 'a.y', '*.y', 'c', 'd.z'));
  fc.assert(
    fc.property(fc.array(fc.tuple(policies, names), { minLength: 1, maxLength: 6 }), (steps) => {
      let table = noRoutes;
      for (const [some, certified] of steps) {
        table = change(table, some, certified);
        const keys = keysOf(table);
        for (const key of keysOf(change(noRoutes, some, certified))) expect(keys).toContain(key);
        for (const key of keys) expect(certified).toContain(key);
      }
    }),
  );
});
