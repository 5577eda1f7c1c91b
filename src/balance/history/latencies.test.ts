import { expect, test } from 'vitest';
import { Latencies } from './latencies.ts';

test('p50 and p95 are within 10 % of those of all requests', () => {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 1000; ms += 1) latencies.add(ms);
  expect(Math.abs((latencies.within(0.5) ?? 0) - 500)).toBeLessThan(50);
  expect(Math.abs((latencies.within(0.95) ?? 0) - 950)).toBeLessThan(95);
});

test('requests that took no time have a percentile of 0, and no requests have none', () => {
  const latencies = new Latencies();
  expect(latencies.within(0.95)).toBeUndefined();
  latencies.add(0);
  expect(latencies.within(0.95)).toBe(0);
  latencies.reset();
  expect(latencies.within(0.95)).toBeUndefined();
});
