import { expect, test } from 'vitest';
import { dividedWeight, divisorOfWeights } from './balance.ts';

test('weights of a hashed service are divided so that HAProxy has at most half a million points for it', () => {
  for (const instances of [1, 128, 129, 1000, 2000, 20_000]) {
    const weight = dividedWeight(256, divisorOfWeights({ kind: 'uri' }, instances));
    expect(instances * weight * 16).toBeLessThanOrEqual(32_768 * 16);
  }
  expect(divisorOfWeights({ kind: 'uri' }, 128)).toBe(1);
  expect(divisorOfWeights({ kind: 'uri' }, 129)).toBe(2);
  expect(divisorOfWeights({ kind: 'source' }, 2000)).toBe(16);
});

test('weights of other services are what was registered', () => {
  expect(divisorOfWeights({ kind: 'roundrobin' }, 20_000)).toBe(1);
});

test('a divided weight keeps its share, takes requests where it took some, and none where it took none', () => {
  expect([256, 128, 100, 1, 0].map((weight) => dividedWeight(weight, 16))).toEqual([16, 8, 6, 1, 0]);
});
