import { expect, test } from 'vitest';
import { type Figures, mostSteps, Ring, ringBytes } from './ring.ts';

const figures = (requestsPerS: number): Figures => ({
  ...{ requestsPerS, errorsPerS: 0, meanMs: 2, p50Ms: undefined, p95Ms: undefined },
});

test('a ring has the last hour, the newest step last, and nothing of before', () => {
  const ring = new Ring();
  for (let step = 0; step < 1000; step += 1) ring.put(step, figures(step));
  const { requestsPerS, p50Ms } = ring.upTo(999);
  expect(requestsPerS).toHaveLength(mostSteps);
  expect(Math.round(requestsPerS.at(-1) ?? 0)).toBe(999);
  expect(Math.round((requestsPerS[0] ?? 0) / 10)).toBe(64);
  expect(p50Ms.every((one) => one === null)).toBe(true);
});

test('steps that nobody put are unknown, also when they were put an hour before', () => {
  const ring = new Ring();
  for (let step = 0; step < mostSteps; step += 1) ring.put(step, figures(1));
  ring.put(mostSteps + 2, figures(1));
  expect(ring.upTo(mostSteps + 2).requestsPerS.slice(-4)).toEqual([1, null, null, 1]);
  expect(ring.upTo(mostSteps + 4).requestsPerS.slice(-3)).toEqual([1, null, null]);
  ring.put(10 * mostSteps, figures(1));
  expect(ring.upTo(10 * mostSteps).requestsPerS.filter((one) => one !== null)).toEqual([1]);
});

test('the hour of a service takes 3,600 bytes', () => {
  expect(ringBytes).toBe(3600);
});
