import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { Registry as MetricsRegistry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { makeAuthority } from '../../test/support/certificates.ts';
import { until } from '../../test/support/until.ts';
import { makeMetric } from '../metrics/make-metric.ts';
import { certificateKey, orderKey, renewalKey } from '../model/acme/keys.ts';
import { formatOrderRecord, type OrderRecord, parseOrderRecord } from '../model/acme/order-record.ts';
import { parseSealingKeys } from '../model/acme/sealing.ts';
import { formatStoredCertificate, type StoredCertificate } from '../model/acme/stored-certificate.ts';
import type { ServiceName } from '../model/name.ts';
import { revision } from '../model/revision.ts';
import { openDirectoryRegistry } from '../registry/directory/directory-registry.ts';
import { deferred } from '../waiting/deferred.ts';
import { aborted } from '../waiting/time-limit.ts';
import { acmeMetrics } from './acme-metrics.ts';
import { FleetBehind } from './fleet-behind.ts';
import { Leader, type LeaderParts } from './leader.ts';
import { LeaderEntries } from './leader-entries.ts';
import { OrderEnded } from './order-ended.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { sealKey } from './seal-key.ts';

const logger = pino({ level: 'silent' });
const directory = 'https://ca.example.com/dir';
const sealing = parseSealingKeys(randomBytes(32).toString('base64'));
if (!sealing.ok) throw new Error(sealing.reason);
const sealingKeys = sealing.value;

type Order = LeaderParts['ordering']['order'];
type Fields = {
  readonly hosts: readonly string[];
  readonly order: Order;
  readonly held?: LeaderParts['held'];
  /** Whether the hosts are known yet. */
  readonly known?: () => boolean;
  readonly giveUp?: LeaderParts['giveUp'];
};

/** A leader over a folder, with an authority that does what `order` says. */
async function startLeader({
  hosts,
  order,
  held = () => undefined,
  known = () => true,
  giveUp = () => undefined,
}: Fields) {
  const path = await mkdtemp(join(tmpdir(), 'pm-leader-'));
  const registry = openDirectoryRegistry({ path, logger });
  const end = new AbortController();
  const write: ConstructorParameters<typeof LeaderEntries>[1]['write'] = async (changes) => {
    const result = await registry.transact({ changes });
    if (result.kind !== 'done') throw new Error(result.kind);
    return result.revision;
  };
  const entries: LeaderEntries = new LeaderEntries(registry, { signal: end.signal, write }, () => leader.look());
  const orders: string[] = [];
  const metrics = acmeMetrics(makeMetric(new MetricsRegistry()));
  const over = aborted(end.signal).then(() => Promise.reject(new Error('the leader ends')));
  over.catch(() => undefined);
  const leader: Leader = new Leader({
    ...{ directory, entries, sealingKeys, held, logger, signal: end.signal, giveUp },
    ordering: {
      order: (host, reason, rest) => {
        orders.push(host);
        return Promise.race([order(host, reason, rest), over]);
      },
    },
    advising: { follow: () => undefined, keepOnly: () => undefined },
    hosts: () => (known() ? new Map(hosts.map((host) => [host, 'shop' as ServiceName])) : undefined),
    metrics,
    now: () => performance.now(),
    wall: () => new Date(),
    random: () => 0,
  });
  onTestFinished(async () => {
    end.abort();
    await leader.close();
    await entries.close();
    await registry.close();
    await rm(path, { recursive: true, force: true });
  });
  leader.look();
  const recordOf = async (host: string): Promise<OrderRecord | undefined> => {
    const value = entries.get(orderKey(host))?.value;
    const parsed = value === undefined ? undefined : parseOrderRecord(value);
    return parsed?.ok === true ? parsed.value : undefined;
  };
  return { entries, registry, orders, leader, end, recordOf, metrics };
}

const never: Order = () => new Promise(() => undefined);
const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `h${i}.example.com`);
const refused = (detail: object = {}) => new AuthorityError('rateLimited: slow down', { kind: 'refused', ...detail });

async function certificateOf(host: string, renewAt: string): Promise<StoredCertificate> {
  const dir = await mkdtemp(join(tmpdir(), 'pm-leader-ca-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const { certFile } = await (await makeAuthority(dir)).issue(host, 30, [host]);
  const certificate = await readFile(certFile, 'utf8');
  const key = sealKey('secret', certificateKey(host), sealingKeys);
  return {
    certificate,
    key,
    issuedAt: new Date(Date.now() - 2 * 86_400_000).toISOString(),
    authority: directory,
    renewAt,
    renewBy: 'lifetime',
  };
}

test('at most eight orders are carried out at once', async () => {
  const waiting: (() => void)[] = [];
  const order: Order = () => new Promise((_, reject) => waiting.push(() => reject(refused())));
  const { orders } = await startLeader({ hosts: names(20), order });
  await until('eight are carried out', () => orders.length === 8);
  waiting[0]?.();
  await until('the next one begins', () => orders.length === 9);
  expect(new Set(orders).size).toBe(9);
  for (const end of waiting) end();
});

test('a host that fails waits as long as the authority says, and the others are ordered', async () => {
  const order: Order = (host) =>
    host === 'h0.example.com'
      ? Promise.reject(refused({ retryAfterMs: 3_600_000 }))
      : never(host, 'first', (wait) => wait());
  const { orders, recordOf } = await startLeader({ hosts: names(3), order });
  const record = await until('it has failed', () => recordOf('h0.example.com'));
  expect(record).toMatchObject({ failures: 1, error: 'rateLimited: slow down', stage: 'waiting' });
  expect(Date.parse(record.nextTry ?? '') - Date.now()).toBeGreaterThan(3_500_000);
  expect([...orders].sort()).toEqual(names(3));
});

test('an authority that cannot be reached is left alone for a while, and no host is blamed', async () => {
  const down = () =>
    Promise.reject(
      new AuthorityError('ca: ECONNREFUSED', { kind: 'unavailable', retryAfterMs: 60_000, isShared: true }),
    );
  const { orders, recordOf } = await startLeader({ hosts: names(30), order: down });
  const record = await until('it has failed', () => recordOf(orders[0] ?? ''));
  expect(record).toMatchObject({ failures: 0, error: 'ca: ECONNREFUSED' });
  // Those that had begun, and no other one.
  expect(orders.length).toBeLessThanOrEqual(8);
});

const broken = () =>
  new AuthorityError('it answered with status 503', { kind: 'unavailable', retryAfterMs: 3_600_000 });

test('an authority that is broken for one host is asked for the others', async () => {
  const order: Order = (host) =>
    host === 'h0.example.com' ? Promise.reject(broken()) : Promise.reject(refused({ retryAfterMs: 60_000 }));
  const { orders, recordOf } = await startLeader({ hosts: names(30), order });
  await until('all are tried', () => new Set(orders).size === 30);
  expect(Date.parse((await recordOf('h0.example.com'))?.nextTry ?? '') - Date.now()).toBeGreaterThan(3_500_000);
});

test('an authority that is broken for several hosts in a row is left alone, and asked at once for an operator', async () => {
  const order: Order = (host) =>
    host === 'h29.example.com' ? never(host, 'first', (wait) => wait()) : Promise.reject(broken());
  const { orders, recordOf, entries } = await startLeader({ hosts: names(30), order });
  await until('they have failed', () => recordOf('h2.example.com'));
  // Eight orders begin at once, and some more before the third one has failed.
  expect(orders.length).toBeLessThanOrEqual(12);
  expect(orders).not.toContain('h29.example.com');
  await entries.write({ [renewalKey('h29.example.com')]: 'now' });
  await until('it is asked for', () => orders.includes('h29.example.com'));
});

test('orders that only wait for the authority keep no other one from being carried out', async () => {
  const { orders } = await startLeader({
    hosts: names(30),
    order: (_, __, rest) => rest(() => new Promise(() => undefined)),
  });
  await until('all are carried out', () => orders.length === 30);
});

test('orders wait for a balancer that is behind, blame no host, and go on as soon as it has caught up', async () => {
  const caughtUp = deferred();
  let isBehind = true;
  const order: Order = () =>
    Promise.reject(isBehind ? new FleetBehind('lb-2 is behind', () => caughtUp.promise) : refused());
  const { orders, recordOf } = await startLeader({ hosts: names(30), order });
  const record = await until('it waits', () => recordOf(orders[0] ?? ''));
  expect(record).toMatchObject({ failures: 0, error: 'lb-2 is behind' });
  expect(Date.parse(record.nextTry ?? '') - Date.now()).toBeLessThanOrEqual(60_000);
  // Those that had begun, and no other one.
  expect(orders.length).toBeLessThanOrEqual(8);
  const before = orders.length;
  isBehind = false;
  caughtUp.resolve();
  await until('all orders go on', () => new Set(orders.slice(before)).size === 30);
});

test('a balancer gives up when the authority does not answer it, but not when the authority answers that it is busy', async () => {
  const given: string[] = [];
  const fail = (status: number | undefined): Order => {
    let failures = 0;
    return async () => {
      failures += 1;
      throw new AuthorityError(`failure ${failures}`, { kind: 'unavailable', status, isShared: true });
    };
  };
  const busy = await startLeader({
    hosts: ['a.example.com'],
    order: fail(503),
    giveUp: (reason) => given.push(reason),
  });
  const dead = await startLeader({
    hosts: ['a.example.com'],
    order: fail(undefined),
    giveUp: (reason) => given.push(reason),
  });
  await until('one gives up', () => given.length > 0);
  expect(given).toEqual(['failure 3']);
  expect(dead.orders).toHaveLength(3);
  await until('the other one has failed as often', () => busy.orders.length >= 3);
  expect(given).toEqual(['failure 3']);
});

test('an order that the authority has ended is forgotten, and one that only failed goes on', async () => {
  const underWay: OrderRecord = {
    ...{ reason: 'first', stage: 'ordered', order: 'https://ca.example.com/o/1', key: 'v1.a.b', authority: directory },
    ...{ failures: 0, error: undefined, nextTry: undefined },
  };
  const order: Order = (host) =>
    Promise.reject(host === 'h0.example.com' ? new OrderEnded('unauthorized: no') : new Error('lb-2 is behind'));
  let isKnown = false;
  const { entries, recordOf, leader } = await startLeader({ hosts: names(2), order, known: () => isKnown });
  await until('the registry has told of everything', () => entries.complete);
  for (const host of names(2)) await entries.write({ [orderKey(host)]: formatOrderRecord(underWay) });
  isKnown = true;
  leader.look();
  const failed = (host: string) =>
    until('it has failed', async () => ((await recordOf(host))?.failures === 1 ? recordOf(host) : undefined));
  expect(await failed('h0.example.com')).toMatchObject({ stage: 'waiting', order: undefined, key: undefined });
  expect(await failed('h1.example.com')).toMatchObject({ stage: 'ordered', order: underWay.order, key: underWay.key });
});

test('a certificate that a wiped registry has lost is written back, and not ordered again before its time', async () => {
  const [lost, due] = await Promise.all([
    certificateOf('lost.example.com', new Date(Date.now() + 86_400_000).toISOString()),
    certificateOf('due.example.com', new Date(Date.now() - 1000).toISOString()),
  ]);
  const held = { kind: 'replaced', reason: 'wiped', at: 0, until: undefined } as const;
  const heldEntries = new Map([
    [certificateKey('lost.example.com'), { value: formatStoredCertificate(lost), revision: revision(1n), held }],
    [certificateKey('due.example.com'), { value: formatStoredCertificate(due), revision: revision(1n), held }],
  ]);
  const hosts = ['lost.example.com', 'due.example.com', 'other.example.com'];
  const { orders, entries } = await startLeader({ hosts, order: never, held: (key) => heldEntries.get(key) });
  await until('the others are ordered', () => orders.length === 2);
  expect([...orders].sort()).toEqual(['due.example.com', 'other.example.com']);
  // A balancer that joins knows it only from the registry.
  const back = await until('the registry has it again', () => entries.get(certificateKey('lost.example.com')));
  expect(back.value).toBe(formatStoredCertificate(lost));
});

test('a certificate whose private key cannot be opened counts as failing, and is not ordered', async () => {
  const host = 'closed.example.com';
  const other = parseSealingKeys(randomBytes(32).toString('base64'));
  if (!other.ok) throw new Error(other.reason);
  const closed = await certificateOf(host, new Date(Date.now() - 1000).toISOString());
  const key = sealKey('secret', certificateKey(host), other.value);
  const { entries, registry, orders, metrics } = await startLeader({
    hosts: [host],
    order: never,
    known: () => entries.get(certificateKey(host)) !== undefined,
  });
  await registry.write(certificateKey(host), formatStoredCertificate({ ...closed, key }));
  await until('it counts', async () => (await metrics.failing.get()).values[0]?.value === 1);
  expect(orders).toEqual([]);
});
