import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type InstanceFields, serviceOf } from '../../test/support/service.ts';
import type { Instance } from '../model/instance.ts';
import type { Split } from '../model/policy/split.ts';
import type { Service } from './service.ts';
import { pinnedSplit, shiftedSplit } from './shifted-split.ts';
import { withSplit } from './split.ts';

const under = (one: Service, split: Split | undefined): Service => ({ ...one, policy: { ...one.policy, split } });

/** The share of the requests that each version gets. */
function shares(one: Service): ReadonlyMap<string, number> {
  const serving = [...withSplit(one).instances.values()].filter(({ state }) => state === 'ready');
  const all = serving.reduce((sum, { weight }) => sum + weight, 0);
  const found = new Map<string, number>();
  for (const { version = 'none', weight } of serving) {
    found.set(version, (found.get(version) ?? 0) + weight / (all || 1));
  }
  return found;
}

/** The same as a policy means it, before it is rounded to HAProxy's weights. */
function meant({ policy: { split }, instances }: Service): ReadonlyMap<string, number> {
  const serving = [...instances.values()].filter(({ state, weight }) => state === 'ready' && weight > 0);
  const groupOf = ({ version = 'none' }: Instance) => (split?.has(version) ? version : '*');
  const weigh = (name?: string) =>
    serving.reduce((sum, one) => sum + (name === undefined || groupOf(one) === name ? one.weight : 0), 0);
  const groups = [...new Set(serving.map(groupOf))];
  const all = groups.reduce((sum, name) => sum + (split?.get(name) ?? 0), 0);
  const found = new Map<string, number>();
  for (const one of serving) {
    const name = groupOf(one);
    const share = all === 0 ? one.weight / weigh() : (((split?.get(name) ?? 0) / all) * one.weight) / weigh(name);
    const { version = 'none' } = one;
    found.set(version, (found.get(version) ?? 0) + share);
  }
  return found;
}

const versions = (...names: readonly (string | undefined)[]): InstanceFields[] => names.map((version) => ({ version }));
const shifted = (one: Service, to: string, percent: number): object | undefined => {
  const split = shiftedSplit(one, to, percent);
  return split && Object.fromEntries(split);
};

describe('a shift', () => {
  test('leaves a retired version with nothing', () => {
    const one = serviceOf({ v2: 100 }, versions('v1', 'v1', 'v2', 'v3'));
    expect(shifted(one, 'v3', 10)).toEqual({ v3: 10, v2: 90 });
  });

  test('keeps the proportion of those that have requests', () => {
    const one = serviceOf({ v1: 3, v2: 1, v0: 0 }, versions('v1', 'v2', 'v3', 'v0'));
    expect(shifted(one, 'v3', 20)).toEqual({ v3: 20, v1: 60, v2: 20 });
    const others = serviceOf({ v2: 80, v1: 0, '*': 20 }, versions('v1', 'v2', 'v3', 'v4'));
    expect(shifted(others, 'v3', 10)).toEqual({ v3: 10, v2: 80, v1: 0, '*': 10 });
  });

  test('leaves the rest to all others where the policy has no split, or none that counts', () => {
    expect(shifted(serviceOf(undefined, versions('v1', 'v2')), 'v2', 10)).toEqual({ v2: 10, '*': 90 });
    expect(shifted(serviceOf({ v9: 100 }, versions('v1', 'v2')), 'v2', 10)).toEqual({ v2: 10, '*': 90 });
  });

  test('gives no more than asked for while another version has no instance', () => {
    const one = serviceOf({ v1: 50, v2: 50 }, versions('v2', 'v3'));
    expect(shares(under(one, shiftedSplit(one, 'v3', 10))).get('v3')).toBeCloseTo(0.1, 2);
  });

  test('has nobody to leave requests to where its version has them all', () => {
    expect(shifted(serviceOf({ v2: 100 }, versions('v1', 'v2')), 'v2', 10)).toBeUndefined();
    expect(shifted(serviceOf({ v2: 100 }, versions('v1', 'v2')), 'v2', 100)).toEqual({ v2: 100 });
  });

  test('after any number of shifts, a version that has nothing gets nothing, and the others keep their proportion', () => {
    const name = fc.constantFrom('v1', 'v2', 'v3', 'v4');
    const told = fc.record({
      version: fc.option(name, { nil: undefined }),
      weight: fc.constantFrom(0, 50, 100),
      state: fc.constantFrom('ready', 'ready', 'ready', 'draining'),
    });
    const split = fc.option(
      fc
        .dictionary(fc.oneof(name, fc.constant('*')), fc.constantFrom(0, 1, 3, 95))
        .filter((one) => Object.values(one).some((share) => share > 0)),
      { nil: undefined },
    );
    const steps = fc.array(fc.tuple(name, fc.constantFrom(5, 10, 50, 99, 100)), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(told, { minLength: 1, maxLength: 8 }), split, steps, (list, first, wanted) => {
        let one = serviceOf(first, list);
        for (const [to, percent] of wanted) {
          const isThere = list.some(({ version, weight, state }) => version === to && weight > 0 && state === 'ready');
          if (!isThere) continue;
          const before = meant(one);
          const next = shiftedSplit(one, to, percent);
          if (next === undefined) {
            expect(before.get(to)).toBeCloseTo(1);
            continue;
          }
          one = under(one, next);
          const [after, served] = [meant(one), shares(one)];
          const rest = [...before].reduce((sum, [version, share]) => sum + (version === to ? 0 : share), 0);
          expect(after.get(to)).toBeCloseTo(rest === 0 ? 1 : percent / 100);
          for (const [version, share] of before) {
            if (version === to) continue;
            expect(after.get(version)).toBeCloseTo(rest === 0 ? 0 : (share / rest) * (1 - percent / 100));
            if (share === 0) expect(served.get(version)).toBe(0);
          }
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a pin', () => {
  test('names what is registered, in its proportion', () => {
    const one = serviceOf(undefined, versions('v1', 'v1', 'v1', 'v2'));
    expect(pinnedSplit(one)).toEqual(new Map(Object.entries({ v1: 75, v2: 25 })));
    const others = serviceOf({ v1: 10, '*': 30 }, versions('v1', 'v2', 'v3', 'v3'));
    expect(pinnedSplit(others)).toEqual(new Map(Object.entries({ v1: 10, v2: 10, v3: 20 })));
  });

  test('changes nothing where a split leaves nothing to others', () => {
    expect(pinnedSplit(serviceOf({ v1: 100 }, versions('v1', 'v2')))).toBeUndefined();
    expect(pinnedSplit(serviceOf({ v1: 100, '*': 0 }, versions('v1', 'v2')))).toBeUndefined();
  });

  test('keeps the share of a version that is drained at the moment', () => {
    const one = serviceOf(undefined, [{ version: 'v1', state: 'draining' }, { version: 'v2' }]);
    expect(pinnedSplit(one)).toEqual(new Map(Object.entries({ v1: 50, v2: 50 })));
  });

  test('tells of an instance without a version', () => {
    expect(pinnedSplit(serviceOf(undefined, versions('v1', undefined)))).toMatchObject({ unnamed: { id: 'i1' } });
  });

  test('gives nothing to a version that comes later, and what it had to each other one', () => {
    const list = fc.array(fc.constantFrom('v1', 'v2', 'v3'), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(list, (names) => {
        const one = serviceOf(undefined, versions(...names));
        const split = pinnedSplit(one);
        if (split === undefined || 'unnamed' in split) throw new Error('not pinned');
        const after = shares(serviceOf(Object.fromEntries(split), versions(...names, 'new')));
        expect(after.get('new')).toBe(0);
        for (const [version, share] of shares(one)) expect(after.get(version)).toBeCloseTo(share, 1);
      }),
    );
  });
});
