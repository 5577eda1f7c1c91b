import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { policyFieldNames } from '../src/model/policy.ts';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { startBalancer } from './support/balancer.ts';
import { commands, heapMb, missing, ownTemplates, unaccounted, unwanted } from './support/fuzz-oracle.ts';
import { entry, policyFields } from './support/hostile-entries.ts';
import { isNightly } from './support/nightly.ts';
import { freePorts } from './support/ports.ts';
import { readConfig } from './support/read-config.ts';
import { until } from './support/until.ts';

// `npm run test:fuzz` puts in 100,000 entries; FUZZ_SEED repeats a run. `npm test` has one seed, so that it says the same each time.
const wanted = Number(process.env['FUZZ_ENTRIES'] ?? 5000);
const seed = Number(process.env['FUZZ_SEED'] ?? (isNightly ? randomInt(2 ** 31) : 1));
const batchSize = 400;
const mostKeys = 1200;

test('hostile policies have every field that there is', () => {
  expect([...Object.keys(policyFields), 'mode', 'port'].sort()).toEqual([...policyFieldNames].sort());
});

test(`${wanted} hostile entries change nothing but what the templates mean`, { timeout: 1_800_000 }, async () => {
  process.stdout.write(`fuzz: FUZZ_ENTRIES=${wanted} FUZZ_SEED=${seed}\n`);
  const commandForms: RegExp[] = [];
  const strange: string[] = [];
  const balancer = await startBalancer({
    templates: await ownTemplates(),
    baseSettings: { acme: true },
    // Keys are deleted here by hundreds, and are meant to be.
    guard: { share: 1 },
    onCommand: (line) => {
      if (!commandForms.some((form) => form.test(line))) strange.push(line);
    },
  });
  onTestFinished(() => balancer.stop());
  onTestFailed(() => {
    const lines = balancer.lines.filter((line) => !line.includes('HAProxy says'));
    process.stderr.write(lines.slice(-40).join('').slice(-20_000));
  });
  commandForms.push(...commands(balancer.paths.routesMap.replaceAll('.', '\\.')));
  const app = await startApp('good');
  onTestFinished(() => app.close());

  balancer.snapshot({});
  await balancer.balancer.start();
  const bare = await balancer.config();
  // Of the highest priority: a claim may allow others one, too.
  balancer.change({
    'claims/good': '{"priority":1000}',
    'instances/good/one': app.address,
    'services/good': '{"hosts":["good"],"priority":1000}',
  });
  await balancer.applied();
  const served = async () => expect(await ask(balancer.port, 'good')).toEqual({ status: 200, body: 'good' });
  await served();

  const entries = entry(await freePorts(3));
  const live = new Set<string>();
  let rejections = 0;
  let heap = 0;
  for (let batch = 0; batch * batchSize < wanted; batch += 1) {
    const puts = Object.fromEntries(fc.sample(entries, { numRuns: batchSize, seed: seed + batch }));
    const leaving = [...live].slice(0, Math.max(0, live.size - mostKeys));
    for (const key of leaving) live.delete(key);
    for (const key of Object.keys(puts)) if (!key.includes('/good')) live.add(key);
    balancer.change({ ...Object.fromEntries(leaving.map((key) => [key, undefined])), ...puts });
    await served();
    await balancer.applied();
    await served();
    expect(strange).toEqual([]);
    expect(unaccounted(balancer, live)).toEqual([]);

    const read = await until('the file is what runs', async () => {
      const now = readConfig(await balancer.config(), bare);
      const believed = [...balancer.balancer.status().served.backends.values()].flatMap(({ name, servers }) =>
        [...servers.keys()].map((id) => `${name}/${id}`),
      );
      return now.strange.length > 0 || [...now.servers.keys()].sort().join() === believed.sort().join()
        ? now
        : undefined;
    });
    expect(read.strange).toEqual([]);
    expect(missing(balancer, read.servers)).toEqual([]);
    expect(unwanted(balancer, read.servers)).toEqual([]);
    const inFile = [...read.servers.keys()].sort();
    await until('HAProxy runs just what the file says', async () => {
      const running = await balancer.link.inspect();
      const names = [...running.servers]
        .filter(([name]) => !name.startsWith('_'))
        .flatMap(([name, servers]) => [...servers.keys()].map((id) => `${name}/${id}`));
      // HAProxy 2.6 may take its time to let go of a server that is in maintenance already.
      const { pendingRemovals } = balancer.balancer.status();
      expect(names.filter((name) => !pendingRemovals.has(name)).sort()).toEqual(inFile);
      return true;
    });

    const { catalog, rejected } = balancer.balancer.status();
    for (const { reason } of [...catalog.rejected.values(), ...rejected])
      expect(reason).toMatch(/^[\x20-\x7e]{3,900}$/);
    expect(rejected.length).toBeLessThanOrEqual(1000);
    expect(await balancer.metric('rejected_entries')).toBeGreaterThanOrEqual(catalog.rejected.size);
    const total = await balancer.metric('rejections_total');
    expect(total).toBeGreaterThan(rejections);
    rejections = total;
    const told = balancer.lines.splice(0).filter((line) => /"event":"(entry-rejected|not-rendered)"/.test(line));
    expect(told.length).toBeGreaterThan(0);
    // A batch is one change of the registry and at most a few rounds.
    expect(told.length).toBeLessThan(100);
    for (const line of told) expect(line).toMatch(/^[\x20-\x7e]{1,3000}\n$/);
    if (batch === 2) heap = heapMb();
  }

  // All entries are deleted, and nothing of them is left in memory, in the file or in HAProxy.
  balancer.change(Object.fromEntries([...live].map((key) => [key, undefined])));
  await balancer.applied();
  await served();
  const { catalog, rejected } = balancer.balancer.status();
  expect([...catalog.services.keys()]).toEqual(['good']);
  expect([...catalog.rejected.keys()].filter((key) => !key.includes('/good'))).toEqual([]);
  expect(rejected.filter(({ key }) => !key.includes('/good'))).toEqual([]);
  expect(heapMb()).toBeLessThan(heap + 40);
});
