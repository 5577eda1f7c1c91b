import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { serviceOf } from '../../test/support/service.ts';
import type { Service } from './service.ts';
import { withSplit } from './split.ts';

const service = (
  split: Readonly<Record<string, number>>,
  versions: readonly (string | undefined)[],
  state = 'ready',
): Service =>
  serviceOf(
    split,
    versions.map((version) => ({ version, state })),
  );

/** The share of all weights that each version has. */
function shares({ instances }: Service): Record<string, number> {
  const sums: Record<string, number> = {};
  let all = 0;
  for (const { version = 'none', weight } of instances.values()) {
    sums[version] = (sums[version] ?? 0) + weight;
    all += weight;
  }
  return Object.fromEntries(Object.entries(sums).map(([version, sum]) => [version, sum / all]));
}

describe('a split', () => {
  test('gives each version its share, however many instances it has', () => {
    const { v1, v2 } = shares(withSplit(service({ v1: 95, v2: 5 }, ['v1', 'v1', 'v1', 'v2'])));
    expect(v1).toBeCloseTo(0.95, 2);
    expect(v2).toBeCloseTo(0.05, 2);
  });

  test('gives nothing to what it does not name, unless it says so', () => {
    expect(shares(withSplit(service({ v1: 1 }, ['v1', 'v2', undefined])))).toEqual({ v1: 1, v2: 0, none: 0 });
    expect(shares(withSplit(service({ v2: 25, '*': 75 }, ['v1', 'v2', undefined, 'v1'])))['v2']).toBeCloseTo(0.25, 2);
  });

  test('leaves the share of a version without instances to the others', () => {
    expect(shares(withSplit(service({ v1: 50, v2: 50 }, ['v1', 'v1'])))).toEqual({ v1: 1 });
  });

  test('changes nothing where nobody with a share is ready', () => {
    const one = service({ v2: 100 }, ['v1', 'v1']);
    expect(withSplit(one)).toBe(one);
  });

  test('any split is kept within a hundredth, and none with a share gets nothing', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 99 }),
        (first, second, percent) => {
          const versions = [...Array(first).fill('v1'), ...Array(second).fill('v2')];
          const split = withSplit(service({ v1: 100 - percent, v2: percent }, versions));
          expect(shares(split)['v2']).toBeGreaterThan(0);
          expect(Math.abs((shares(split)['v2'] ?? 0) - percent / 100)).toBeLessThan(0.01);
        },
      ),
    );
  });
});
