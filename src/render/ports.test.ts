import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { Service } from '../catalog/catalog.ts';
import { allowedByDefault } from '../model/allowance.ts';
import type { ServiceName } from '../model/name.ts';
import { defaultPolicy } from '../model/policy.ts';
import { claimPorts } from './ports.ts';

const service = (name: string, port?: number, since?: bigint): Service => ({
  name: name as ServiceName,
  policy: port === undefined ? defaultPolicy : { ...defaultPolicy, mode: 'tcp', port },
  declared: true,
  allowed: allowedByDefault,
  since: since as Service['since'],
  registered: PersistentMap(),
  numbers: PersistentMap(),
  held: undefined,
  instances: PersistentMap(),
});

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
  const { ports, conflicts } = claimPorts(services, new Set([8404]));
  expect([...ports].map(([port, { name }]) => [port, name])).toEqual([
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
