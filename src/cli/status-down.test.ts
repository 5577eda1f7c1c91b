import { expect, test } from 'vitest';
import type { BalancerState } from './balancer-state.ts';
import { describeDown, downIn, servicesToAsk } from './status-down.ts';

const service = (name: string, up: number | undefined, ready: number): BalancerState['serves'][number] => ({
  ...{ name, up, ready, declared: true, instances: ready, port: undefined, routes: [] },
});
const on = (id: string, ...serves: BalancerState['serves']) => ({ id, serves });
const down = (balancer: string, instance = 'a', reason = 'connection refused', forS = 12) => ({
  ...{ service: 'web', instance, balancer, reason, forS },
});

test('what HAProxy finds down is read with the reason of the check; what is out on purpose is not down', () => {
  const check = { check: 'L7STS', checkDetail: '503 Service Unavailable', sinceS: 12 };
  const instance = (id: string, more: object) => ({ ...{ id, state: 'ready', weight: 100 }, ...more });
  const answer = {
    instancesById: [
      instance('a', { traffic: { status: 'DOWN', ...check } }),
      instance('new', { traffic: { status: 'DOWN', check: '', checkDetail: '', sinceS: 1 } }),
      instance('up', { traffic: { status: 'UP', ...check } }),
      instance('out', { state: 'draining', traffic: { status: 'DOWN', ...check } }),
      instance('none', { weight: 0, traffic: { status: 'DOWN', ...check } }),
      instance('absent', {}),
    ],
  };
  expect(downIn('lb', 'web', answer)).toEqual([
    { service: 'web', instance: 'a', balancer: 'lb', reason: 'HTTP status 503 (Service Unavailable)', forS: 12 },
    { service: 'web', instance: 'new', balancer: 'lb', reason: 'no check has passed yet', forS: 1 },
  ]);
  expect(downIn('lb', 'web', 'an older balancer')).toEqual([]);
});

test('of many services those without an instance are asked for first, and a bounded number', () => {
  const serves = Array.from({ length: 30 }, (_, i) => service(`s${i}`, i < 29 ? 1 : 0, 2));
  const asked = servicesToAsk({ serves: [...serves, service('well', 2, 2), service('unknown', undefined, 2)] });
  expect(asked).toHaveLength(20);
  expect(asked[0]).toBe('s29');
});

test('a service without an instance comes first; balancers are named where they differ', () => {
  const lbs = [on('lb-1', service('web', 1, 3), service('api', 0, 2)), on('lb-2', service('web', 2, 3))];
  const lines = describeDown([down('lb-1'), down('lb-2'), down('lb-1', 'b', 'no answer in time', 3)], lbs);
  expect(lines).toEqual([
    'api: no instance is up (0 of 2) (on lb-1)',
    'web/a is down for 12s: connection refused',
    'web/b is down for 3s: no answer in time (on lb-1)',
  ]);
});

test('of many that are down twenty are named', () => {
  const many = Array.from({ length: 50 }, (_, i) => down('lb', `i${i}`));
  const lines = describeDown(many, [on('lb', service('web', 1, 51))]);
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toBe('and 30 more instances (pointsman status SERVICE)');
});
