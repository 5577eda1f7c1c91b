import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ServiceName } from '../../model/name.ts';
import { type ReloadBudget, spend, unusedBudget, waitOf } from './reload-pacing.ts';

const [evil, web] = ['evil' as ServiceName, 'web' as ServiceName];
const pace = { burst: 5, everyMs: 20_000 };

/** A service whose changes need a reload each second: when it gets one. */
function reloadsOf(seconds: number, apartMs = 0): readonly number[] {
  let budget = unusedBudget;
  const at: number[] = [];
  for (let now = 0; now < seconds * 1000; now += 1000) {
    if (waitOf(budget, evil, now, pace, apartMs) > 0) continue;
    budget = spend(budget, [evil], now, pace);
    at.push(now / 1000);
  }
  return at;
}

test('a change each second gets a burst of reloads, and then one each interval', () => {
  expect(reloadsOf(61)).toEqual([0, 1, 2, 3, 4, 20, 40, 60]);
});

test('with many old workers its reloads are further apart', () => {
  expect(reloadsOf(181, 60_000)).toEqual([0, 60, 120, 180]);
});

test('another service waits for nothing', () => {
  let budget = unusedBudget;
  for (let i = 0; i < 9; i += 1) budget = spend(budget, [evil], i, pace);
  expect(waitOf(budget, web, 9, pace)).toBe(0);
  expect(waitOf(budget, web, 9, pace, 60_000)).toBe(0);
});

test('changes that come along with the reloads of others do not add to a wait without end', () => {
  let budget = unusedBudget;
  for (let i = 0; i < 100; i += 1) budget = spend(budget, [evil], 0, pace);
  expect(waitOf(budget, evil, 0, pace)).toBe(pace.everyMs);
});

test('an interval of 0 bounds nothing', () => {
  const budget = spend(spend(unusedBudget, [evil], 0, { burst: 1, everyMs: 0 }), [evil], 0, { burst: 1, everyMs: 0 });
  expect(waitOf(budget, evil, 0, { burst: 1, everyMs: 0 })).toBe(0);
});

test('in any time there are no more reloads than the burst and one each interval, and a budget is forgotten when it is full', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 100 }), (gaps) => {
      let budget: ReloadBudget = unusedBudget;
      let now = 0;
      let count = 0;
      for (const gap of gaps) {
        now += gap;
        if (waitOf(budget, evil, now, pace) > 0) continue;
        budget = spend(budget, [evil], now, pace);
        count += 1;
        expect(count).toBeLessThanOrEqual(pace.burst + now / pace.everyMs);
      }
      now += pace.burst * pace.everyMs;
      expect([...spend(budget, [web], now, pace).keys()]).toEqual([web]);
    }),
  );
});
