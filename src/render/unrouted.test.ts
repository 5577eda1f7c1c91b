import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import { emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { revision } from '../model/revision.ts';
import { namesBesideHttps } from './names-beside-https.ts';
import { claimPorts } from './ports.ts';
import { changeRoutes, conflictsOf, noRoutes } from './routes.ts';
import { unroutedServices } from './unrouted.ts';

/** Those of services that got their policies one after the other. */
function unrouted(values: Readonly<Record<string, object>>): Readonly<Record<string, string>> {
  const entries = Object.entries(values).map(([key, value], i) => {
    const entry = { key, value: JSON.stringify(value), revision: revision(BigInt(i + 1)), leased: false };
    return [key, entry] as const;
  });
  const history = { kind: 'first' } as const;
  const snapshot = {
    kind: 'snapshot',
    history,
    revision: revision(9n),
    cluster: 'c',
    entries: new Map(entries),
  } as const;
  const { services, rejected } = foldEvent(emptyCatalog, snapshot).catalog;
  expect(rejected).toEqual(PersistentMap());
  const table = changeRoutes(noRoutes, services.keys(), services);
  const { conflicts } = claimPorts(services.values(), { reserved: new Set([443, 8404]), https: 443 });
  const tcp = [...services.values()].filter(({ policy }) => policy.mode === 'tcp');
  const beside = namesBesideHttps(table, tcp, 443);
  return Object.fromEntries(unroutedServices([...conflictsOf(table), ...conflicts, ...beside.conflicts], table));
}

test('a service whose hosts or port others have is one that no request reaches', () => {
  const found = unrouted({
    'services/shop': { hosts: ['shop.example', 'x'] },
    'services/late': { hosts: ['shop.example', 'x'] },
    'services/part': { hosts: ['shop.example', 'part.example'] },
    'services/db': { mode: 'tcp', port: 5432 },
    'services/db2': { mode: 'tcp', port: 5432 },
    'services/own': { mode: 'tcp', port: 8404 },
  });
  expect(found).toEqual({
    late: 'late does not get the route shop.example/ and 1 more: shop has them, and its policy is older',
    db2: 'db2 does not get the port 5432: db has it, and its policy is older',
    own: 'own does not get the port 8404: pointsman itself has it',
  });
});

test('on the port of HTTPS, a service whose names HTTP services or other tcp services have is one that no connection reaches', () => {
  const sharing = (sni: readonly string[], more: object = {}) => ({ mode: 'tcp', port: 443, sni, ...more });
  const found = unrouted({
    'services/web': { hosts: ['shop.example', '*.web.example'] },
    'services/db': sharing(['db.example']),
    'services/thief': sharing(['shop.example', '*.web.example']),
    'services/late': sharing(['db.example']),
    'services/part': sharing(['shop.example', 'part.example']),
    'services/challenge': sharing(['shop.example'], { alpn: ['acme-tls/1'] }),
    'services/greedy': sharing(['*'], { alpn: ['h2'] }),
    'services/later-web': { hosts: ['db.example'] },
  });
  expect(found).toEqual({
    thief: 'thief does not get the route shop.example:443/: web has it, and its policy is older',
    late: 'late does not get the route db.example:443/: db has it, and its policy is older',
    greedy: 'greedy does not get connections with its protocols (alpn) on the port 443: HTTPS has them',
  });
});

test('a service that may have none of its hosts, or not its port, is one that no request reaches', () => {
  const found = unrouted({
    'services/web': { hosts: ['x', 'y'] },
    'services/part': { hosts: ['x', 'part'] },
    'services/db': { mode: 'tcp', port: 5432 },
    'claims/*': { hosts: [], ports: [], certificates: [] },
  });
  expect(found).toEqual({
    web: 'web does not get the hosts x, y: no claim allows them (claims/web, else claims/*)',
    db: 'db does not get the port 5432: no claim allows it (claims/db, else claims/*)',
  });
});

test('a service whose certificate is refused, or that has a lower priority by its own policy, keeps its routes', () => {
  const found = unrouted({
    'services/web': { tls: { certificate: 'other.pem' } },
    'services/blue': { hosts: ['shop.example'] },
    'services/green': { hosts: ['shop.example'], priority: 5 },
    'claims/*': { certificates: [], priority: 10 },
  });
  expect(found).toEqual({});
});
