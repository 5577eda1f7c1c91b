import pc from 'picocolors';
import { expect, test } from 'vitest';
import type { Acknowledgement } from '../fleet/acknowledgement.ts';
import type { ServiceName } from '../model/name.ts';
import { noRevision, revision } from '../model/revision.ts';
import type { BalancerState } from './balancer-state.ts';
import type { Status } from './status-read.ts';
import { formatStatus } from './status-text.ts';
import { columnsOf } from './wrap-text.ts';

const plain = { colors: pc.createColors(false), width: 80 };
const balancer: BalancerState = {
  ...{ id: 'lb', says: undefined, admin: { at: '127.0.0.1:1' }, health: undefined },
  serves: [{ name: 'web', up: 0, ready: 2, declared: true, instances: 2, port: undefined, routes: [] }],
};
const said: Acknowledgement = {
  ...{ revision: noRevision, cluster: '', owner: '', version: '', haproxyVersion: '', config: '', admin: undefined },
  ...{ appliedAt: '', draining: undefined, unproven: new Map(), unrouted: new Map(), conflicts: new Map() },
  ...{ refusals: [], untold: new Map(), unlisted: new Map() },
};
const service = (name: string) => name as ServiceName;
const host = 'a-name-of-a-host-that-is-long.example.com';
const status: Status = {
  location: 'etcd://127.0.0.1:2379/pointsman/',
  revision: undefined,
  balancers: [balancer],
  down: [{ service: 'web', instance: 'a', balancer: 'lb', reason: 'connection refused', forS: 12 }],
  services: [
    {
      name: 'web',
      declared: true,
      instances: 2,
      ready: 2,
      overrides: 0,
      hosts: [host, host, host, host],
      policyRejected: undefined,
    },
  ],
  outOfService: [],
  notAsked: [],
  instances: [
    {
      ...{ id: 'a', address: '127.0.0.1:1', state: 'ready', weight: 100, version: 'v1' },
      haproxy: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`edge-${i}`, 'DOWN for 12s'])),
    },
  ],
  trouble: [
    'lb: no instance is up of web (0 of 2): pointsman status SERVICE tells why',
    `lb: services/web is quarantined (served as before): ${'a reason of many words '.repeat(5)}`,
  ],
};

test('what is down and why comes first, then what else is wrong, and nothing twice', () => {
  const lines = formatStatus(status, plain).split('\n');
  expect(lines.slice(0, 7)).toEqual([
    'etcd://127.0.0.1:2379/pointsman/  does not answer',
    '',
    'DOWN',
    '  web: no instance is up (0 of 2)',
    '  web/a is down for 12s: connection refused',
    '',
    'look at this',
  ]);
  expect(lines.filter((line) => line.includes('no instance is up'))).toHaveLength(1);
  expect(lines.findIndex((line) => line.startsWith('BALANCER'))).toBeGreaterThan(6);
});

test('at 80 columns no line is longer, in colours or without, and as wide as it is elsewhere', () => {
  for (const colors of [pc.createColors(false), pc.createColors(true)]) {
    for (const line of formatStatus(status, { colors, width: 80 }).split('\n')) {
      expect(columnsOf(line)).toBeLessThanOrEqual(80);
    }
  }
  const wide = formatStatus(status, { ...plain, width: undefined });
  expect(wide).toContain(`${host}, ${host}, ${host}, …`);
  expect(wide).toContain('ON edge-8');
});

test('when all is well nothing is listed before the tables', () => {
  const well = formatStatus({ ...status, down: [], trouble: [], balancers: [] }, plain);
  expect(well).not.toMatch(/DOWN$|look at this/m);
});

test('balancers that could not be asked come first, are not called serving, and are named once', () => {
  const reason = '10.0.0.1:8404 does not answer: connection refused';
  const acknowledged = { ...said, revision: revision(7n) };
  const far: BalancerState = {
    ...balancer,
    id: 'far',
    says: { ok: true, value: acknowledged },
    admin: { reason },
    serves: [],
  };
  const begun: BalancerState = { ...far, id: 'begun', says: { ok: true, value: said } };
  const trouble = ['far: its admin port 10.0.0.1:8404 does not answer: connection refused'];
  const notAsked = [{ id: 'far', reason }];
  const text = formatStatus({ ...status, down: [], balancers: [far, begun], notAsked, trouble }, plain);
  expect(text.split('\n').slice(1, 5)).toEqual([
    '',
    'NOT ASKED',
    `  far: ${reason}`,
    '  UP and DOWN are unknown there: run pointsman status on that machine, or give',
  ]);
  expect(text).not.toContain('look at this');
  expect(text).toMatch(/^far +7 .* not asked; it acknowledges$/m);
  expect(text).toMatch(/^begun +0 .* started; serves nothing yet$/m);
});

test('a service that is taken out is under DOWN, and one whose newest policy is rejected says which serves', () => {
  const outOfService = [
    { service: service('web'), reason: 'no instance takes new requests (0 of 2): maintenance by ada' },
  ];
  const services = [
    {
      ...status.services[0],
      name: 'web',
      declared: true,
      instances: 2,
      ready: 0,
      overrides: 1,
      hosts: ['a.example'],
      policyRejected: 'no',
    },
  ];
  const text = formatStatus(
    { ...status, down: [], balancers: [], trouble: [], outOfService, services },
    { ...plain, width: 120 },
  );
  expect(text).toContain('DOWN\n  web: no instance takes new requests (0 of 2): maintenance by ada');
  expect(text).toMatch(/a\.example +last good policy; the newest is rejected/);
});
