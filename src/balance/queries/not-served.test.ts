import { expect, test } from 'vitest';
import { foldEntries } from '../../catalog/fold-event.ts';
import type { ServerTraffic } from '../../haproxy/stat.ts';
import { revision } from '../../model/revision.ts';
import { downIn, lookedAt, refusedOf, takenOutOf } from './not-served.ts';

function servicesOf(values: Readonly<Record<string, string>>) {
  const entries = Object.entries(values).map(([key, value]) => ({ key, value, revision: revision(1n), leased: true }));
  return [...foldEntries(new Map(entries.map((entry) => [entry.key, entry]))).catalog.services.values()];
}
const server = (status: string, checkDetail = ''): ServerTraffic => ({
  ...{ status, checkDetail, check: 'L4CON', weight: 1, backup: false, markedDown: 0, sinceS: 7 },
  requests: 0,
  answers: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0, other: 0 },
  failures: { connect: 0, response: 0, retries: 0, redispatches: 0 },
  open: 0,
  queued: 0,
  meanMs: { queue: 0, connect: 0, response: 0, total: 0 },
});
const drained = '{"address":"10.0.0.3","port":80,"state":"draining"}';

test('services without any instance that is up come first, and instances that somebody took out are not down', () => {
  const services = servicesOf({
    'instances/api/a': '10.0.0.1:80',
    'instances/api/b': '10.0.0.2:80',
    'instances/shop/a': '10.0.0.1:80',
    'instances/web/a': '10.0.0.1:80',
    'instances/web/c': drained,
  });
  const up: Readonly<Record<string, number>> = { api: 1, shop: 0, web: 1 };
  const { down, ask } = lookedAt(services, (name) => up[name]);
  expect({ down, ask: ask.map(({ name }) => name) }).toEqual({ down: 2, ask: ['shop', 'api'] });
  expect(lookedAt(services, () => undefined)).toEqual({ down: 0, ask: [] });
});

test('an instance that is down says why and for how long', () => {
  const [web] = servicesOf({
    'instances/web/a': '10.0.0.1:80',
    'instances/web/b': '10.0.0.2:80',
    'instances/web/c': drained,
  });
  if (web === undefined) throw new Error('no service');
  const servers = new Map([
    ['a', server('UP')],
    ['b', server('DOWN', 'Connection refused')],
  ]);
  expect(downIn(web, servers)).toEqual([
    { service: 'web', instance: 'b', why: 'DOWN: Connection refused', sinceS: 7, open: undefined },
  ]);
  expect(downIn(web, new Map()).map(({ why }) => why)).toEqual([
    'HAProxy does not have it',
    'HAProxy does not have it',
  ]);
  expect(downIn(web, undefined)).toEqual([]);
});

test('an instance that drains has its open requests, and says who took it out', () => {
  const services = servicesOf({ 'instances/web/a': '10.0.0.1:80', 'instances/web/c': drained });
  expect(takenOutOf(services, () => undefined, new Map([['web/c', 3]]))).toMatchObject({
    outCount: 1,
    out: [{ service: 'web', instance: 'c', why: 'it registered itself as draining', open: 3 }],
  });
  expect(takenOutOf(services, () => 'drain by ada', new Map()).out[0]?.why).toBe('drain by ada');
});

test('refused entries are those of instances and services', () => {
  const entries = ['instances/web/a', 'services/web', 'overrides/web/*'].map((key) => ({ key, reason: 'no' }));
  expect(refusedOf(entries).map(({ service, instance }) => [service, instance])).toEqual([
    ['web', 'a'],
    ['web', undefined],
  ]);
});
