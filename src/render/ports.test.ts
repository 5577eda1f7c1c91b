import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { Service } from '../catalog/service.ts';
import { noClaim } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';
import { defaultPolicy } from '../model/policy.ts';
import type { HostPattern } from '../model/route.ts';
import { describeConflict } from './conflict.ts';
import { claimPorts, type Ports, portsOfBase } from './ports.ts';

const service = (name: string, port?: number, since?: bigint): Service => ({
  name: name as ServiceName,
  policy: port === undefined ? defaultPolicy : { ...defaultPolicy, mode: 'tcp', port },
  declared: true,
  claim: noClaim,
  since: since as Service['since'],
  registered: PersistentMap(),
  numbers: PersistentMap(),
  suspended: undefined,
  instances: PersistentMap(),
});

const ownersOf = (ports: Ports) => [...ports].map(([port, owner]) => [port, owner === 'shared' ? owner : owner.name]);

test('a port stays with the service that had its policy first, whatever order they came in, and none is pointsman’s own', () => {
  const services = [
    service('mail', 5432, 7n),
    service('alert', 5432, 8n),
    service('a', 1, 2n),
    service('web'),
    service('db', 5432, 5n),
    service('cache', 8404),
    service('q', 1, 2n),
  ];
  const { ports, conflicts } = claimPorts(services, { reserved: new Set([8404]) });
  expect(ownersOf(ports)).toEqual([
    [1, 'a'],
    [5432, 'db'],
  ]);
  expect(conflicts).toEqual([
    { kind: 'port', port: 1, because: 'first-by-name', winner: 'a', loser: 'q' },
    { kind: 'port', port: 5432, because: 'older', winner: 'db', loser: 'mail' },
    { kind: 'port', port: 5432, because: 'older', winner: 'db', loser: 'alert' },
    { kind: 'port', port: 8404, because: undefined, winner: undefined, loser: 'cache' },
  ]);
});

test('a port that no claim allows is nobody’s, and free for a service that may have it', () => {
  const claim = { ...noClaim, ports: [{ first: 6000, last: 6099 }] };
  const services = [
    { ...service('evil', 5432, 1n), claim },
    { ...service('own', 6099, 2n), claim },
    service('db', 5432, 3n),
  ];
  const { ports, conflicts } = claimPorts(services, { reserved: new Set() });
  expect(ownersOf(ports)).toEqual([
    [6099, 'own'],
    [5432, 'db'],
  ]);
  expect(conflicts.map(describeConflict)).toEqual([
    'evil does not get the port 5432: no claim allows it (claims/evil, else claims/*)',
  ]);
});

test('a port that the base configuration listens on is for no service', () => {
  const base =
    'frontend mine\n    bind 10.0.0.1:81,10.0.0.2:82 ssl\n    bind quic4@10.0.0.1:83\n    bind :84-85\n    bind unix@/x\n';
  expect([...portsOfBase(base, '10.0.0.1')]).toEqual([81, 84, 85]);
  const services = [service('db', 81), service('mail', 82)];
  const { ports, conflicts } = claimPorts(services, { reserved: new Set(), ofTemplate: portsOfBase(base, '10.0.0.1') });
  expect([...ports.keys()]).toEqual([82]);
  expect(conflicts.map(describeConflict)).toEqual(['db does not get the port 81: haproxy.cfg.mustache has it']);
});

test('services with sni share a port, and HTTPS shares its own with them only', () => {
  const sharing = (name: string, port: number, since: bigint) => {
    const one = service(name, port, since);
    const sni = { names: [`${name}.example` as HostPattern], protocols: [] };
    return { ...one, policy: { ...one.policy, sni } };
  };
  const services = [
    sharing('a', 443, 1n),
    sharing('b', 443, 2n),
    service('c', 443, 3n),
    service('d', 5432, 1n),
    sharing('e', 5432, 2n),
    sharing('f', 6000, 1n),
    service('g', 6000, 2n),
  ];
  const { ports, conflicts } = claimPorts(services, { reserved: new Set([443]), https: 443 });
  expect(ownersOf(ports)).toEqual([
    [443, 'shared'],
    [5432, 'd'],
    [6000, 'shared'],
  ]);
  expect(conflicts.map(({ port, loser }) => `${loser} ${port}`)).toEqual(['e 5432', 'g 6000', 'c 443']);
  expect(ownersOf(claimPorts(services.slice(0, 2), { reserved: new Set([443]) }).ports)).toEqual([]);
});
