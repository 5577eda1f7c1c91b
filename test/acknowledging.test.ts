import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry as MetricsRegistry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { Acknowledging } from '../src/balance/acknowledge/acknowledging.ts';
import { Draining } from '../src/balance/acknowledge/draining.ts';
import { createBalanceMetrics } from '../src/balance/metrics.ts';
import { emptyCatalog } from '../src/catalog/catalog.ts';
import { parseAcknowledgement } from '../src/fleet/acknowledgement.ts';
import { readProcesses } from '../src/haproxy/master.ts';
import { revision } from '../src/model/revision.ts';
import { openDirectoryRegistry } from '../src/registry/directory/directory-registry.ts';
import { startBalancer } from './support/balancer.ts';
import { until } from './support/until.ts';

test('says nothing of what settles while the worker is asked about, before it asks again', async () => {
  const path = await mkdtemp(join(tmpdir(), 'pm-'));
  const logger = pino({ level: 'silent' });
  const registry = openDirectoryRegistry({ path, logger });
  const asked: { readonly workerPid: number; readonly answer: (isCurrent: boolean) => void }[] = [];
  const now = () => performance.now();
  const acknowledging = new Acknowledging({
    registry,
    id: 'lb',
    owner: 'me',
    about: () => ({ version: '1', haproxyVersion: '2.6', admin: undefined }),
    config: () => 'c',
    draining: new Draining({ count: async () => new Map(), logger, now, onChange: () => undefined }),
    unproven: () => new Map(),
    guarded: () => [],
    certificates: () => [],
    heldEntries: () => [],
    isCurrent: (workerPid) => new Promise((answer) => asked.push({ workerPid, answer })),
    metrics: createBalanceMetrics(new MetricsRegistry()).acknowledge,
    logger,
    now,
    wall: () => new Date(),
  });
  onTestFinished(async () => {
    for (const { answer } of asked) answer(false);
    await acknowledging.close();
    await registry.close();
    await rm(path, { recursive: true });
  });
  const said = async () => {
    const parsed = parseAcknowledgement(await readFile(join(path, 'balancers/lb'), 'utf8'));
    return parsed.ok ? parsed.value.revision : undefined;
  };
  const settled = (at: bigint, workerPid: number) =>
    acknowledging.onServed(
      { ...emptyCatalog, cluster: 'c', revision: revision(at) },
      { unserved: [], unrouted: new Map(), conflicts: new Map() },
      workerPid,
    );
  const isAsked = (times: number) => until(`the worker is asked about ${times} times`, () => asked.length === times);

  const history = { kind: 'first' } as const;
  acknowledging.onEvent({ kind: 'snapshot', history, revision: revision(9n), cluster: 'c', entries: new Map() });
  settled(4n, 1);
  await isAsked(1);
  // The answer is of a moment before this was given to a worker.
  settled(9n, 1);
  asked[0]?.answer(true);
  await isAsked(2);
  await until('the former is acknowledged', async () => (await said()) === 4n);
  asked[1]?.answer(false);
  settled(9n, 2);
  await isAsked(3);
  expect(await said()).toBe(4n);
  asked[2]?.answer(true);
  await until('it is acknowledged', async () => (await said()) === 9n);
  expect(asked.map(({ workerPid }) => workerPid)).toEqual([1, 1, 2]);
});

test('tells what is served after the master was silent for a while, and nothing else has changed', async () => {
  const balancer = await startBalancer();
  onTestFinished(() => balancer.stop());
  const told: string[] = [];
  balancer.balancer.observe({
    onApplied: () => undefined,
    trouble: undefined,
    onServed: ({ revision }) => void told.push(String(revision)),
  });
  balancer.snapshot({ 'instances/web/a': '127.0.0.1:1' });
  await balancer.balancer.start();
  await balancer.applied();
  const { revisionApplied } = balancer.balancer.status();
  await until('it is told', () => told.includes(String(revisionApplied)));
  const masterPid = (await readProcesses(balancer.paths.masterSocket, 5000))?.masterPid ?? 0;
  process.kill(masterPid, 'SIGSTOP');
  try {
    balancer.balancer.watch.inspectSoon();
    await until('an inspection fails', () => balancer.lines.some((line) => line.includes('"round-failed"')));
  } finally {
    process.kill(masterPid, 'SIGCONT');
  }
  told.length = 0;
  await until('it is told again', () => told.includes(String(revisionApplied)));
});
