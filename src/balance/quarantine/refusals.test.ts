import { expect, test } from 'vitest';
import type { ServiceName } from '../../model/name.ts';
import {
  acceptedAlone,
  checkedAlone,
  dueInMs,
  noRefusals,
  type RecentRefusals,
  refusalWaits,
  refusedAgain,
} from './refusals.ts';

const evil = 'evil' as ServiceName;
const refused = (recent: RecentRefusals, now: number) =>
  refusedAgain(recent, new Map([[evil, 'no such file']]), refusalWaits, now);
/** Refused so many times, each time as soon as another version may be checked. */
function refusedTimes(times: number): { readonly recent: RecentRefusals; readonly now: number } {
  let recent = noRefusals;
  let now = 0;
  for (let i = 0; i < times; i += 1) {
    now += dueInMs(recent, evil, now);
    recent = refused(recent, now);
  }
  return { recent, now };
}

test('after one refusal the next version takes part in a reload at once; after two it is checked by itself', () => {
  expect(checkedAlone(refusedTimes(1).recent, 0).size).toBe(0);
  const { recent, now } = refusedTimes(2);
  expect([...checkedAlone(recent, now)]).toEqual([
    [
      'evil',
      'HAProxy refused 2 versions lately, so the newest one is checked by itself before it is used; the last refusal: no such file',
    ],
  ]);
});

test('the wait grows with each refusal up to a minute, and is over after five minutes without one', () => {
  const waits = [1, 2, 3, 4, 8, 9, 50].map((times) => {
    const { recent, now } = refusedTimes(times);
    return dueInMs(recent, evil, now);
  });
  expect(waits).toEqual([0, 1000, 2000, 4000, 60_000, 60_000, 60_000]);
  const { recent, now } = refusedTimes(3);
  expect(checkedAlone(recent, now + 301_000).size).toBe(1);
  expect(checkedAlone(recent, now + 302_000).size).toBe(0);
  expect(dueInMs(refused(recent, now + 302_000), evil, now + 302_000)).toBe(0);
});

test('versions that are accepted are as far apart, so that their checks hold up nobody', () => {
  const { recent, now } = refusedTimes(4);
  const later = now + dueInMs(recent, evil, now);
  expect(dueInMs(acceptedAlone(recent, evil, refusalWaits, later), evil, later)).toBe(4000);
});
