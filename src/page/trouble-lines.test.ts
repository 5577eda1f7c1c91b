import { expect, test } from 'vitest';
import type { BalanceHealth } from '../balance/health.ts';
import type { NotServed } from '../balance/queries/not-served.ts';
import type { ServiceView } from '../balance/queries/service-view.ts';
import { summaryOf, type TroubleSources, troubleOf, worstOf } from './trouble-lines.ts';

const health: BalanceHealth = {
  ...{ serving: true, ready: true, leaving: undefined, id: 'edge-1', haproxyVersion: '3.2.1' },
  ...{
    troubles: [],
    refused: undefined,
    drift: undefined,
    quarantined: [],
    rejected: [],
    pendingReload: [],
    storage: [],
  },
  ...{
    guarded: [],
    ejected: [],
    fleetLimits: undefined,
    held: [],
    overrides: [],
    certificates: [],
    files: [],
    conflicts: [],
    moreConflicts: {},
    services: {},
  },
  ...{ revisionSeen: '7', revisionApplied: '7', acknowledging: undefined },
  registry: {
    connected: true,
    reason: undefined,
    staleMs: 0,
    lastKnown: undefined,
    location: 'dir:/r',
    root: undefined,
    cluster: 'c',
  },
};
const notServed: NotServed = { down: [], downCount: 0, out: [], outCount: 0, refused: [] };
const service = (name: string, up: number): ServiceView => ({
  ...{ name, mode: 'http', port: undefined, declared: true, routes: [], routeCount: 0, traffic: undefined },
  ...{ instances: 2, ready: 2, up, held: 0, ejected: 0 },
});
const all: TroubleSources = {
  health,
  services: [service('web', 2)],
  notServed,
  certificates: undefined,
  lost: undefined,
  now: new Date('2026-11-29T12:00:00Z'),
};
const linesOf = (more: Partial<TroubleSources>) => troubleOf({ ...all, ...more });

test('without trouble nothing is said, and the head is good', () => {
  expect(linesOf({})).toEqual([]);
  expect(worstOf([])).toBe('good');
  expect(summaryOf([])).toBe('nothing is wrong');
});

test('a service without an instance is a problem, and an instance that is down a note with its reason', () => {
  const down = { service: 'web', instance: 'web-2', why: 'DOWN: Connection refused', sinceS: 70, open: undefined };
  const lines = linesOf({
    services: [service('api', 0), service('web', 1)],
    notServed: { ...notServed, down: [down], downCount: 3 },
  });
  expect(lines).toEqual([
    { kind: 'bad', says: 'api: no instance is up (0 of 2), so its requests are answered with 503.' },
    {
      kind: 'note',
      says: 'web/web-2 gets no requests: DOWN: Connection refused, for 1m 10s',
      about: { service: 'web', instance: 'web-2' },
    },
    { kind: 'note', says: '2 more instances get no requests: open a service to see its instances.' },
  ]);
  expect(worstOf(lines)).toBe('bad');
  expect(summaryOf(lines)).toBe('1 problem, 2 notes');
});

test('a refused entry of an instance can be explained, and a balancer that is lost comes before it', () => {
  const rejected = [
    {
      key: 'instances/web/web-3',
      reason: 'it is not host:port',
      revision: 7n,
    } as unknown as BalanceHealth['rejected'][number],
  ];
  const lines = linesOf({ health: { ...health, rejected }, lost: 'Failed to fetch' });
  expect(lines.map(({ kind }) => kind)).toEqual(['bad', 'note']);
  expect(lines[1]?.about).toEqual({ service: 'web', instance: 'web-3' });
});

test('a certificate that ends soon colours the head', () => {
  const certificates = [
    {
      name: 'shop',
      names: ['shop.example'],
      notBefore: '2026-01-01T00:00:00Z',
      notAfter: '2026-12-09T13:00:00Z',
      source: 'folder' as const,
    },
  ];
  const lines = linesOf({ health: { ...health, certificates } });
  expect(lines).toEqual([{ kind: 'note', says: 'The certificate shop ends in 10 days.' }]);
  expect(worstOf(lines)).toBe('note');
});

test('a host whose order failed is a note, and a certificate that has ended is a problem', () => {
  const listed = {
    ...{
      service: 'web',
      source: 'acme' as const,
      authority: 'https://acme.example/',
      renewAt: undefined,
      asked: false,
    },
  };
  const lines = linesOf({
    certificates: {
      ...{ acme: true, asking: undefined, refused: [], unread: undefined },
      list: [
        {
          ...listed,
          ...{ host: 'new.example', validUntil: undefined, nextTry: '2026-11-29T12:05:00Z' },
          state: { kind: 'failing', failures: 2, error: 'no A record' },
        },
        {
          ...listed,
          ...{ host: 'old.example', validUntil: '2026-11-29T11:00:00Z', nextTry: undefined },
          state: { kind: 'expired' },
        },
      ],
    },
  });
  expect(lines).toEqual([
    { kind: 'bad', says: 'The certificate of old.example has ended.' },
    {
      kind: 'note',
      says: 'new.example has no certificate: no A record (failed 2×, the next try is in 5m).',
    },
  ]);
});
