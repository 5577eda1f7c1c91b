import { expect, test } from 'vitest';
import { policyKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import { noRevision } from '../../model/revision.ts';
import { noQuarantine, type Quarantine } from './quarantine.ts';
import { RetrySchedule } from './retry-schedule.ts';

const [evil, other] = ['evil' as ServiceName, 'other' as ServiceName];
const one = { reason: 'no such file', revision: noRevision, form: undefined };
const inQuarantine = (services: Readonly<Record<string, { tried: string; nextVersion?: string }>>): Quarantine => ({
  ...noQuarantine,
  services: new Map(Object.entries(services).map(([name, version]) => [name as ServiceName, { ...one, ...version }])),
});
const changed = inQuarantine({ evil: { tried: 'x', nextVersion: 'y' } });
const refusal = new Map([[policyKey(evil), 'no such file']]);

/** A schedule after so many refusals, each as soon as another version may be checked. `skip` moves its clock. */
function refusedTimes(times: number) {
  let now = 0;
  const schedule = new RetrySchedule({ retryMs: 10_000, now: () => now });
  for (let i = 0; i < times; i += 1) {
    now += schedule.nextMs(changed) ?? 0;
    schedule.refused(refusal);
  }
  const skip = (ms: number) => {
    now += ms;
  };
  return { schedule, skip };
}

test('after one refusal the next version takes part in a reload at once; after two it is checked by itself', () => {
  expect(refusedTimes(1).schedule.alone.size).toBe(0);
  const { schedule } = refusedTimes(2);
  expect([...schedule.alone]).toEqual([
    [
      'evil',
      'HAProxy refused 2 versions lately, so pointsman checks the newest one by itself before it uses it; the last refusal: no such file',
    ],
  ]);
});

test('the wait grows with each refusal up to a minute, and is over after five minutes without one', () => {
  const waits = [1, 2, 3, 4, 8, 9, 50].map((times) => refusedTimes(times).schedule.nextMs(changed));
  expect(waits).toEqual([0, 1000, 2000, 4000, 60_000, 60_000, 60_000]);
  const { schedule, skip } = refusedTimes(3);
  skip(301_000);
  expect(schedule.alone.size).toBe(1);
  skip(1000);
  expect(schedule.alone.size).toBe(0);
  schedule.refused(refusal);
  expect(schedule.nextMs(changed)).toBe(0);
});

test('versions that are accepted are as far apart, so that their checks hold up nobody', () => {
  const { schedule, skip } = refusedTimes(4);
  skip(schedule.nextMs(changed) ?? 0);
  schedule.acceptedAlone(evil);
  expect(schedule.nextMs(changed)).toBe(4000);
});

test('a service that fails in the same form waits longer each time, and another form begins anew', () => {
  let now = 0;
  let random = 0;
  const schedule = () => new RetrySchedule({ retryMs: 1000, now: () => now, random: () => random });
  const x = inQuarantine({ evil: { tried: 'x' } });
  const y = inQuarantine({ evil: { tried: 'y' } });
  const both = inQuarantine({ evil: { tried: 'x' }, other: { tried: 'x' } });
  const early = schedule();
  early.failedAgain(x, [evil]);
  expect(early.nextMs(x)).toBe(800);
  random = 1;
  const late = schedule();
  late.failedAgain(x, [evil]);
  expect(late.nextMs(x)).toBe(1000);
  expect([...late.dueUnchanged(both)]).toEqual([other]);
  now = 1000;
  late.failedAgain(x, [evil]);
  expect(late.nextMs(x)).toBe(2000);
  now = 3000;
  expect([...late.dueUnchanged(x)]).toEqual([evil]);
  late.failedAgain(y, [evil]);
  expect(late.nextMs(y)).toBe(1000);
  late.keepOnly(noQuarantine);
  expect(late.nextMs(y)).toBe(0);
  expect(late.nextMs(noQuarantine)).toBeUndefined();
});
