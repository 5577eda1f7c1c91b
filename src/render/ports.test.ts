import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { Service } from '../catalog/catalog.ts';
import type { ServiceName } from '../model/name.ts';
import { defaultPolicy } from '../model/policy.ts';
import { claimPorts } from './ports.ts';

const service = (name: string, port?: number): Service => ({
  name: name as ServiceName,
  policy: port === undefined ? defaultPolicy : { ...defaultPolicy, mode: 'tcp', port },
  declared: true,
  registered: PersistentMap(),
  numbers: PersistentMap(),
  held: undefined,
  instances: PersistentMap(),
});

test('a port goes to the first service by name, whatever order they came in, and none to pointsman’s own', () => {
  const services = [
    service('mail', 5432),
    service('web'),
    service('db', 5432),
    service('cache', 8404),
    service('q', 1),
  ];
  const { ports, conflicts } = claimPorts(services, new Set([8404]));
  expect([...ports].map(([port, { name }]) => [port, name])).toEqual([
    [5432, 'db'],
    [1, 'q'],
  ]);
  expect(conflicts).toEqual([
    { kind: 'port', port: 8404, winner: undefined, loser: 'cache' },
    { kind: 'port', port: 5432, winner: 'db', loser: 'mail' },
  ]);
});
