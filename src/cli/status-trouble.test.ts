import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { Rejection } from '../catalog/catalog.ts';
import { type Acknowledgement, heldReason } from '../fleet/acknowledgement.ts';
import { noRevision } from '../model/revision.ts';
import type { BalancerHealth, BalancerState } from './balancer-state.ts';
import { shortTrouble, troubleOf } from './status-trouble.ts';

const health: BalancerHealth = {
  ready: true,
  troubles: [],
  revisionSeen: '1',
  revisionApplied: '1',
  registry: { connected: true, staleMs: 0 },
  pendingReload: [],
  storage: [],
  conflicts: [],
  moreConflicts: {},
  guarded: [],
  ejected: [],
  held: [],
  files: [],
  quarantined: [],
  rejected: [],
};
const said: Acknowledgement = {
  ...{ revision: noRevision, cluster: '', owner: '', version: '', haproxyVersion: '', config: '', admin: undefined },
  ...{
    appliedAt: '',
    draining: undefined,
    unproven: new Map(),
    unrouted: new Map(),
    conflicts: new Map(),
    refusals: [],
    untold: new Map(),
    unlisted: new Map(),
  },
};
const service = (name: string, up: number | undefined, ready: number): BalancerState['serves'][number] => ({
  ...{ name, up, ready, declared: true, instances: ready, port: undefined, routes: [] },
});
const balancer = (more: Partial<BalancerState>): BalancerState => ({
  ...{ id: 'lb', says: undefined, admin: { at: '127.0.0.1:1' }, health, serves: [] },
  ...more,
});
const rejected = (...keys: readonly string[]) =>
  PersistentMap(
    keys.map((key): [string, Rejection] => [key, { key, reason: 'no', revision: noRevision, lastGoodServes: false }]),
  );
const nothing = rejected();

test('a service of which no instance is up comes first, then a claim that is refused', () => {
  const serves = [service('a', 0, 3), service('b', 1, 3), service('gone', 0, 0), service('new', undefined, 2)];
  const lines = troubleOf({
    balancers: [balancer({ serves, health: { ...health, refused: 'refused' } })],
    catalog: { rejected: rejected('instances/a/1', 'claims/*') },
    beside: ['somebody else'],
  });
  expect(lines).toEqual([
    'lb: no instance is up of a (0 of 3): pointsman status SERVICE tells why',
    'claims/*: no; this claim counts as not written, unless its key held a good one before',
    'somebody else',
    'lb: refused',
    'instances/a/1: no',
  ]);
});

test('of many services that are down the first are named', () => {
  const serves = Array.from({ length: 7 }, (_, i) => service(`s${i}`, 0, 1));
  expect(troubleOf({ balancers: [balancer({ serves })], catalog: { rejected: nothing }, beside: [] })).toEqual([
    expect.stringMatching(/^lb: no instance is up of s0 \(0 of 1\), .* s4 \(0 of 1\) and 2 more services: /),
  ]);
});

test('what is quarantined has one line, although the acknowledgement has it too', () => {
  const long = 'x'.repeat(400);
  const refusals = [
    { key: 'services/web', reason: `${long.slice(0, 300)}...` },
    { key: 'instances/api/*', reason: 'missing' },
    { key: 'instances/db/a', reason: 'its name does not resolve' },
    { key: 'instances/db/b', reason: heldReason },
  ];
  const quarantined = [
    { key: 'services/web', reason: long, serves: 'last-good' },
    { key: 'services/api', reason: 'missing', serves: 'nothing' },
  ];
  const one = balancer({
    says: { ok: true, value: { ...said, refusals } },
    health: { ...health, quarantined },
  });
  expect(troubleOf({ balancers: [one], catalog: { rejected: nothing }, beside: [] })).toEqual([
    `lb: services/web is quarantined (served as before): ${long}`,
    'lb: services/api is quarantined (not served): missing',
    'lb: instances/db/a: its name does not resolve',
  ]);
});

test('a refused template has one line, with the name of its file', () => {
  const reason = "haproxy.cfg.refused:7: unknown keyword 'x'";
  const troubles = [{ part: 'template', means: 'a template was refused', reason, sinceMs: 3000 }];
  const quarantined = [
    { key: 'templates/frame', reason, serves: 'last-good' },
    { key: 'templates/backend', reason: 'another', serves: 'last-good' },
  ];
  const one = balancer({ health: { ...health, troubles, quarantined } });
  expect(troubleOf({ balancers: [one], catalog: { rejected: nothing }, beside: [] })).toEqual([
    `lb: for 3s, the template haproxy.cfg.mustache was refused; the last good one is in use: ${reason}`,
    'lb: the template backend.mustache is quarantined (served as before): another',
  ]);
});

test("a balancer's own troubles come before what is refused, of which each service has three lines at most", () => {
  const refusals = Array.from({ length: 40 }, (_, i) => ({
    key: `instances/evil/a${i}`,
    reason: 'it may not be there',
  }));
  const drift = { times: 1, ageMs: 3000, count: 1, differences: ['server web/a'] };
  const storage = [{ what: 'catalog' as const, reason: 'full', sinceMs: 1 }];
  const lines = troubleOf({
    balancers: ['lb-1', 'lb-2'].map((id) =>
      balancer({ id, says: { ok: true, value: { ...said, refusals } }, health: { ...health, drift, storage } }),
    ),
    catalog: {
      rejected: rejected(
        'instances/evil/1',
        'instances/evil/2',
        'services/evil',
        'overrides/evil/*',
        'instances/web/a',
      ),
    },
    beside: [],
  });
  expect(lines).toHaveLength(4 + 80 + 5);
  const refused = (id: string) => [
    ...[0, 1, 2].map((i) => `${id}: instances/evil/a${i}: it may not be there`),
    `${id}: entries of evil: and 37 more (--json has all)`,
  ];
  const own = (id: string) => [
    `${id}: the catalog is not on disk: full`,
    expect.stringContaining(`${id}: HAProxy ran something else`),
  ];
  const short = shortTrouble(lines);
  expect(short.slice(0, 12)).toEqual([...own('lb-1'), ...own('lb-2'), ...refused('lb-1'), ...refused('lb-2')]);
  expect(short.slice(12)).toHaveLength(5);
  expect(short).toContain('entries of evil: and 1 more (--json has all)');
  expect(short).toContain('instances/web/a: no');
});

test('a certificate that HAProxy does not have yet is no problem a moment after it was issued', () => {
  const key = 'certificates/shop.example.com';
  const lines = (refusal: object, arriving: ReadonlySet<string>) => {
    const refusals = [{ key, reason: 'HAProxy does not have it yet', ...refusal }];
    const says = { ok: true, value: { ...said, refusals } } as const;
    return troubleOf({ balancers: [balancer({ says })], catalog: { rejected: nothing }, beside: [], arriving });
  };
  expect(lines({}, new Set([key]))).toEqual([]);
  expect(lines({}, new Set())).toEqual([`lb: ${key}: HAProxy does not have it yet`]);
  expect(lines({ reason: 'its private key cannot be opened', final: true }, new Set([key]))).toHaveLength(1);
});
