import { expect, test } from 'vitest';
import { revision } from '../model/revision.ts';
import { outOfService } from './out-of-service.ts';
import { catalogOf } from './read-services.ts';

const wall = Date.parse('2026-11-29T12:00:00Z');
const out = (entries: Readonly<Record<string, unknown>>) =>
  outOfService(
    catalogOf(
      Object.entries(entries).map(([key, value]) => ({
        key,
        value: typeof value === 'string' ? value : JSON.stringify(value),
        revision: revision(1n),
        leased: false,
      })),
      wall,
    ),
    wall,
  ).map(({ service, reason }) => `${service}: ${reason}`);
const two = { 'instances/web/a': '10.0.0.1:80', 'instances/web/b': '10.0.0.2:80' };

test('a service in maintenance and a paused one are named with who did it, why and until when', () => {
  const by = { who: 'ada@desk', why: 'new disk' };
  expect(out({ ...two, 'overrides/web/*': { kind: 'maintenance', ...by } })).toEqual([
    'web: no instance takes new requests (0 of 2): maintenance by ada@desk (new disk), until it is cleared',
  ]);
  const at = '2026-11-29T12:00:00Z';
  const until = '2026-11-29T12:05:00Z';
  expect(out({ ...two, 'overrides/web/*': { kind: 'pause', ...by, at, until } })).toEqual([
    'web: its requests wait: pause by ada@desk (new disk), until 2026-11-29T12:05:00Z (5m)',
  ]);
});

test('a service whose instances are each taken out is named, and one that still has an instance is not', () => {
  const drain = { 'overrides/web/a': { kind: 'drain', who: 'ada@desk' } };
  expect(out({ ...two, ...drain })).toEqual([]);
  const draining = { 'instances/web/b': { address: '10.0.0.2:80', state: 'draining' } };
  expect(out({ ...two, ...drain, ...draining })).toEqual([
    'web: no instance takes new requests (0 of 2): drain by ada@desk, until it is cleared; the registration says draining',
  ]);
});

test('a service without instances that nobody took out is not named', () => {
  expect(out({ 'services/web': { hosts: ['web.example'] } })).toEqual([]);
});
