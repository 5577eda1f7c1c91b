import fc from 'fast-check';
import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { addressRules } from '../addresses/address-rules.ts';
import type { Answer } from '../addresses/names.ts';
import { type Catalog, emptyCatalog, foldEvent } from '../catalog/catalog.ts';
import { formatAddress } from '../model/address.ts';
import { revision } from '../model/revision.ts';
import type { Change } from '../registry/registry.ts';
import { Locating } from './locating.ts';

const zone: Readonly<Record<string, Answer>> = {
  'one.example': { kind: 'found', addresses: ['10.9.9.1'], ttlMs: undefined },
  'two.example': { kind: 'found', addresses: ['169.254.169.254', '10.9.9.2'], ttlMs: undefined },
  'bad.example': { kind: 'found', addresses: ['169.254.169.254'], ttlMs: undefined },
  'none.example': { kind: 'failed', reason: 'it has no address' },
};

/** Where instances come to be reached; those that are not there are not served. */
const reached = new Map([
  ...['10.0.0.1:80', '10.0.0.2:80', '127.0.0.1:81'].map((one) => [one, one] as const),
  ['one.example:80', '10.9.9.1:80'],
  ['two.example:80', '10.9.9.2:80'],
]);
const nowhere = ['bad.example:80', 'none.example:80', '127.0.0.1:80', '169.254.1.1:80'];

const change = fc.record({
  service: fc.constantFrom('a', 'b'),
  id: fc.constantFrom('1', '2', '3', '4'),
  address: fc.constantFrom(undefined, ...reached.keys(), ...nowhere),
});

function start() {
  return new Locating({
    rules: addressRules({ allowed: [], loopback: true }),
    own: [{ host: '127.0.0.1', port: 80, family: 'ipv4' }],
    names: { intervalMs: 10_000, most: 8, mostOfService: 8 },
    lookUp: async (name) => zone[name] ?? { kind: 'failed', reason: 'unknown' },
    logger: pino({ level: 'silent' }),
    now: () => performance.now(),
    onChange: () => undefined,
  });
}

const shown = ({ services }: Catalog) =>
  [...services.values()]
    .flatMap(({ name, instances }) =>
      [...instances.values()].map((one) => `${name}/${one.id} ${formatAddress(one.address)}`),
    )
    .sort();

describe('between the catalog and the templates', () => {
  test('after any history each instance is where its registration leads, or left out with a reason', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 12 }), async (history) => {
        const locating = start();
        let catalog = emptyCatalog;
        for (const [index, round] of history.entries()) {
          const at = revision(BigInt(index + 1));
          const changes = round.map(({ service, id, address }): Change => {
            const key = `instances/${service}/${id}`;
            if (address === undefined) return { kind: 'delete', key, revision: at };
            return { kind: 'put', entry: { key, value: address, revision: at, leased: false } };
          });
          const folded = foldEvent(catalog, { kind: 'changes', revision: at, changes });
          catalog = folded.catalog;
          locating.fold(folded);
          locating.served(catalog);
          await locating.settled(1000);
          const all = [...catalog.services.values()].flatMap(({ registered }) => [...registered.values()]);
          const expected = all.flatMap(({ service, id, address }) => {
            const there = reached.get(formatAddress(address));
            return there === undefined ? [] : [`${service}/${id} ${there}`];
          });
          expect(shown(locating.served(catalog))).toEqual(expected.sort());
          const left = all.filter(({ address }) => !reached.has(formatAddress(address)));
          expect([...locating.unserved()].map(({ key }) => key).sort()).toEqual(
            left.map(({ service, id }) => `instances/${service}/${id}`).sort(),
          );
        }
        locating.close();
      }),
      { numRuns: 200 },
    );
  });

  test('where HAProxy comes to listen, an instance that is there is left out, and comes back afterwards', async () => {
    const locating = start();
    const at = revision(1n);
    const entry = { key: 'instances/a/1', value: '127.0.0.1:81', revision: at, leased: false };
    const folded = foldEvent(emptyCatalog, { kind: 'changes', revision: at, changes: [{ kind: 'put', entry }] });
    locating.fold(folded);
    expect(shown(locating.served(folded.catalog))).toEqual(['a/1 127.0.0.1:81']);
    locating.listening([{ host: '0.0.0.0', port: 81, family: 'ipv4' }]);
    expect(shown(locating.served(folded.catalog))).toEqual([]);
    locating.listening([]);
    expect(shown(locating.served(folded.catalog))).toEqual(['a/1 127.0.0.1:81']);
    locating.close();
  });
});
