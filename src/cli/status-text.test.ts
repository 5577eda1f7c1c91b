import pc from 'picocolors';
import { expect, test } from 'vitest';
import type { BalancerState } from './balancer-state.ts';
import type { Status } from './status-read.ts';
import { formatStatus } from './status-text.ts';
import { columnsOf } from './wrap-text.ts';

const plain = { colors: pc.createColors(false), width: 80 };
const balancer: BalancerState = {
  ...{ id: 'lb', says: undefined, admin: { at: '127.0.0.1:1' }, health: undefined },
  serves: [{ name: 'web', up: 0, ready: 2, declared: true, instances: 2, port: undefined, routes: [] }],
};
const host = 'a-name-of-a-host-that-is-long.example.com';
const status: Status = {
  location: 'etcd://127.0.0.1:2379/pointsman/',
  revision: undefined,
  balancers: [balancer],
  down: [{ service: 'web', instance: 'a', balancer: 'lb', reason: 'connection refused', forS: 12 }],
  services: [{ name: 'web', declared: true, instances: 2, ready: 2, overrides: 0, hosts: [host, host, host, host] }],
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
