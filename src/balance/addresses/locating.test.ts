import fc from 'fast-check';
import pino from 'pino';
import { describe, expect, test } from 'vitest';
import { addressRules } from '../../addresses/address-rules.ts';
import type { LookupAnswer } from '../../addresses/names.ts';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { formatAddress } from '../../model/address.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import type { Change } from '../../registry/registry.ts';
import { Locating } from './locating.ts';

const zone: Readonly<Record<string, LookupAnswer>> = {
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
          locating.located(catalog);
          await locating.lookups.resolved(1000);
          const all = [...catalog.services.values()].flatMap(({ registered }) => [...registered.values()]);
          const expected = all.flatMap(({ service, id, address }) => {
            const there = reached.get(formatAddress(address));
            return there === undefined ? [] : [`${service}/${id} ${there}`];
          });
          expect(shown(locating.located(catalog))).toEqual(expected.sort());
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
    expect(shown(locating.located(folded.catalog))).toEqual(['a/1 127.0.0.1:81']);
    locating.listening([{ host: '0.0.0.0', port: 81, family: 'ipv4' }]);
    expect(shown(locating.located(folded.catalog))).toEqual([]);
    locating.listening([]);
    expect(shown(locating.located(folded.catalog))).toEqual(['a/1 127.0.0.1:81']);
    locating.close();
  });

  test('an instance is left out while its check would ask where no instance may be', async () => {
    const locating = start();
    let catalog = emptyCatalog;
    const put = (keys: Readonly<Record<string, string>>) => {
      const at = revision(BigInt(catalog.revision) + 1n);
      const changes = Object.entries(keys).map(([key, value]): Change => {
        return { kind: 'put', entry: { key, value, revision: at, leased: false } };
      });
      const folded = foldEvent(catalog, { kind: 'changes', revision: at, changes });
      catalog = folded.catalog;
      locating.fold(folded);
      return shown(locating.located(catalog));
    };
    const checked = (port: number) => ({ 'services/a': JSON.stringify({ check: { kind: 'http', port, body: 'x' } }) });
    const all = ['a/1 127.0.0.1:81', 'a/2 10.0.0.2:80', 'a/3 10.9.9.1:80'];
    put({ 'instances/a/1': '127.0.0.1:81', 'instances/a/2': '10.0.0.2:80', 'instances/a/3': 'one.example:80' });
    await locating.lookups.resolved(1000);
    expect(put({ 'services/b': '{}' })).toEqual(all);

    expect(put(checked(80))).toEqual(all.slice(1));
    expect(locating.of('a' as ServiceName, '1' as InstanceId)).toMatchObject({
      reason: 'the check of a has another port: 127.0.0.1:80 is an address of this balancer itself: 127.0.0.1:80',
      lastGoodServes: false,
    });
    const former = catalog.services.get('a' as ServiceName);
    if (former === undefined) throw new Error('a is a service');
    expect(put(checked(90))).toEqual(all);
    // Its policy is refused, and a former one stands in.
    const { policy } = former;
    const inForm = {
      ...catalog,
      services: catalog.services.map((one) => (one.name === 'a' ? { ...one, policy } : one)),
    };
    const { catalog: permitted, refused } = locating.permitted(locating.located(inForm), ['a' as ServiceName]);
    expect(shown(permitted)).toEqual(all.slice(1));
    expect(refused).toMatchObject([{ service: 'a', instance: '1' }]);

    locating.listening([{ host: '0.0.0.0', port: 85, lastPort: 95, family: 'ipv4' }]);
    expect(shown(locating.located(catalog))).toEqual(all.slice(1));
    expect(put({ 'instances/a/4': '127.0.0.1:82', 'instances/b/1': '127.0.0.1:82' })).toEqual([
      ...all.slice(1),
      'b/1 127.0.0.1:82',
    ]);
    expect(put({ 'services/a': '{}' })).toEqual([...all, 'a/4 127.0.0.1:82', 'b/1 127.0.0.1:82']);

    // As after a restart.
    put(checked(80));
    const next = start();
    next.adopt(catalog);
    await next.lookups.resolved(1000);
    expect(shown(next.located(catalog))).toEqual([...all.slice(1), 'b/1 127.0.0.1:82']);
    for (const one of [locating, next]) one.close();
  });
});
