import { expect, test } from 'vitest';
import type { ServiceView } from '../balance/queries/service-view.ts';
import { findServices, stateOf } from './find-services.ts';
import type { LatestRates } from './latest-rates.ts';

const service = (name: string, more: Partial<ServiceView> = {}): ServiceView => ({
  ...{ name, mode: 'http', port: undefined, declared: true, routes: [`${name}/`], routeCount: 1 },
  ...{ instances: 2, ready: 2, up: 2, held: 0, ejected: 0, traffic: undefined },
  ...more,
});
const services = [
  service('api', { routes: ['shop.example/api/'] }),
  service('db', { mode: 'tcp', port: 5432, up: 0 }),
  service('web', { up: 1 }),
];
const names = (found: readonly ServiceView[]) => found.map(({ name }) => name);

test('a search finds words of the name, the routes and the port, in any order', () => {
  const find = (search: string) => names(findServices(services, new Map(), { search, order: 'name' }));
  expect(find('API shop')).toEqual(['api']);
  expect(find('5432')).toEqual(['db']);
  expect(find('')).toEqual(['api', 'db', 'web']);
  expect(find('nothing')).toEqual([]);
});

test('services in trouble or with the largest figure come first, and equals by name', () => {
  const latest = (requestsPerS: number) => ({
    at: 0,
    counters: { requests: 0, errors: 0 },
    latest: { requestsPerS, errorsPerS: 0, meanMs: 1 },
  });
  const rates: LatestRates = new Map([
    ['api', latest(1)],
    ['web', latest(9)],
  ]);
  const order = (one: 'state' | 'requests' | 'errors') =>
    names(findServices(services, rates, { search: '', order: one }));
  expect(order('state')).toEqual(['db', 'web', 'api']);
  expect(order('requests')).toEqual(['web', 'api', 'db']);
  expect(order('errors')).toEqual(['api', 'web', 'db']);
});

test('a service is bad without any instance that is up, and a note with some', () => {
  const states = [{ up: 0 }, { up: 1 }, { up: 2 }, { up: undefined }, { up: 0, ready: 0 }, { held: 1 }];
  expect(states.map((one) => stateOf(service('web', one)))).toEqual(['bad', 'note', 'good', 'note', 'note', 'note']);
});
