import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFailed, test } from 'vitest';
import { startLoad } from '../bench/load.ts';
import { allAgree } from './soak/agreement.ts';
import { type Cost, costOf, mostOf } from './soak/cost.ts';
import { type Fault, faultsOf } from './soak/faults.ts';
import { describeSoak } from './soak/report.ts';
import { instances, startWorld, type World } from './soak/world.ts';
import { isNightly } from './support/nightly.ts';
import { randomFrom } from './support/random.ts';
import { until } from './support/until.ts';

const seconds = Number(process.env['SOAK_S'] ?? (isNightly ? 120 : 30));
const leastFaultMs = 1000;
/** The file that a run's figures are written to; `npm run soak` names the one that is committed. */
const report = process.env['SOAK_REPORT'];
/** Only faults whose names match, to try one of them alone. */
const only = new RegExp(process.env['SOAK_FAULTS'] ?? '');

type Random = () => number;

test(`${instances} instances that churn, and faults of every kind, lose no request in ${seconds} s`, {
  timeout: (seconds + 240) * 1000,
}, async () => {
  const seed = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000);
  process.stderr.write(`SOAK_SEED=${seed}\n`);
  const random = randomFrom(seed);
  const world = await startWorld();
  onTestFailed(() => {
    for (const line of world.balancer().log.slice(-100)) process.stderr.write(`${JSON.stringify(line)}\n`);
  });
  const costs: [Cost, ...Cost[]] = [await costOf(world.balancer())];
  const load = loadAll(world);
  const ends = performance.now() + seconds * 1000;
  const [some, more, { faults, cuts }] = await Promise.all([
    churn(world, random, ends),
    churn(world, random, ends),
    disturb(world, random, ends, async () => void costs.push(await costOf(world.balancer()))),
  ]);
  const { answered, failures } = await load.stop();
  // A balancer that was killed right after a release may hold again what it had saved a moment before.
  await world.releaseAll();
  await allAgree(world);
  costs.push(await costOf(world.balancer()));

  const outside = failures.filter(({ at }) => !cuts.some(({ from, to }) => at >= from && at <= to));
  const failed = { outside: outside.length, inCuts: failures.length - outside.length };
  const changes = some + more;
  const text = await describeSoak({ seconds, seed, changes, answered, failed, cuts: cuts.length, faults, costs });
  process.stderr.write(text);
  expect(outside.slice(0, 5)).toEqual([]);
  expect(answered).toBeGreaterThan(1000);
  expect(mostOf(costs).memoryMb).toBeLessThan(200);
  // First checks have up to 64 connections open at once.
  expect(mostOf(costs).descriptors).toBeLessThan(164);
  if (report !== undefined) await writeFile(report, text);
});

/** Asks four of the services all the time. */
function loadAll({ http }: World) {
  const failures: { readonly at: number; readonly reason: string }[] = [];
  const loads = Array.from({ length: 4 }, (_, i) =>
    startLoad(http, `s${i}`, 1, (reason) => failures.push({ at: performance.now(), reason })),
  );
  onTestFailed(() => void process.stderr.write(`${JSON.stringify(failures.slice(0, 20))}\n`));
  return {
    async stop() {
      const results = await Promise.all(loads.map((load) => load.stop()));
      return { answered: results.reduce((sum, one) => sum + one.answered, 0), failures };
    },
  };
}

/** Changes instances all the time, and gives how often that was done. */
async function churn({ registry, keyOf, registrationOf }: World, random: Random, ends: number): Promise<number> {
  let changes = 0;
  while (performance.now() < ends) {
    const i = Math.floor(random() * instances);
    const signalled = { signal: AbortSignal.timeout(20_000) };
    const what = random();
    // A write that fails may have been done all the same; what is there in the end is asked from etcd.
    changes += await (what < 0.4
      ? registry.write(keyOf(i), registrationOf(i, { weight: 1 + Math.floor(random() * 256) }), signalled)
      : what < 0.6
        ? registry.write(keyOf(i), registrationOf(i, { state: 'draining' }), signalled)
        : what < 0.75
          ? registry.remove(keyOf(i), signalled.signal)
          : registry.write(keyOf(i), registrationOf(i), signalled)
    ).then(
      () => 1,
      () => 0,
    );
  }
  return changes;
}

/** Does one fault after the other, each of them once before any comes again. */
async function disturb(world: World, random: Random, ends: number, before: () => Promise<void>) {
  const below = (n: number) => Math.floor(random() * n);
  const all = faultsOf(world, below).filter(({ name }) => only.test(name));
  const faults = new Map<string, number[]>(all.map(({ name }) => [name, []]));
  const cuts: { readonly from: number; readonly to: number }[] = [];
  let left: Fault[] = [];
  while (performance.now() < ends) {
    await pause(leastFaultMs + below(2000));
    await before();
    if (left.length === 0) left = [...all];
    const [fault] = left.splice(below(left.length), 1);
    if (fault === undefined) throw new Error('there is no fault to choose from');
    const from = performance.now();
    await fault.act();
    faults.get(fault.name)?.push(performance.now() - from);
    if (!fault.cut) continue;
    await pause(200);
    await until('requests are answered again', world.answers, { deadlineMs: 30_000, everyMs: 20 });
    cuts.push({ from: from - 50, to: performance.now() + 200 });
  }
  return { faults, cuts };
}
