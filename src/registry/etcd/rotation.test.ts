import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { givenMembers } from './member-source.ts';
import { Rotation } from './rotation.ts';

const inOrder = () => 0.999;

/** Who is asked, with those silent that are named. */
function asked(
  count: number,
  silent: (endpoint: string, turn: number) => boolean,
  endpoints = ['a', 'b', 'c'],
): string {
  const rotation = new Rotation(givenMembers(endpoints), inOrder);
  let told = '';
  for (let turn = 0; turn < count; turn += 1) {
    const current = rotation.current?.address ?? '';
    told += current;
    rotation.next(silent(current, turn));
  }
  return told;
}

describe('the rotation of members', () => {
  test('asks one after the other', () => {
    expect(asked(7, () => false)).toBe('abcabca');
  });

  test('passes a silent one over for four rounds, and asks it again then', () => {
    expect(asked(14, (_, turn) => turn === 0)).toBe('abcbcbcbcbcabc');
    expect(asked(14, (endpoint) => endpoint === 'b')).toBe('abcacacacacabc');
  });

  test('goes on when all are silent, or when there is but one', () => {
    expect(asked(7, () => true)).toBe('abcabca');
    expect(asked(3, () => true, ['a'])).toBe('aaa');
  });

  test('never leaves one out for long, whoever is silent', () => {
    const silences = fc.array(fc.boolean(), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), silences, (count, silent) => {
        const endpoints = ['a', 'b', 'c', 'd', 'e'].slice(0, count);
        const told = asked(40, (_, turn) => silent[turn] ?? false, endpoints);
        for (const endpoint of endpoints) {
          const gaps = told.split(endpoint).map(({ length }) => length);
          expect(Math.max(...gaps)).toBeLessThanOrEqual(5 * count);
        }
      }),
    );
  });

  test('takes members that come and go, and stays with the one that it is at', () => {
    const rotation = new Rotation(givenMembers(['a', 'b', 'c']), inOrder);
    rotation.next(false);
    expect(rotation.current?.address).toBe('b');
    rotation.update(givenMembers(['d', 'c', 'b']));
    expect(rotation.current?.address).toBe('b');
    const told = [1, 2, 3].map(() => {
      rotation.next(false);
      return rotation.current?.address;
    });
    expect(told).toEqual(['c', 'd', 'b']);
    rotation.update(givenMembers(['e']));
    expect(rotation.current?.address).toBe('e');
    rotation.update([]);
    rotation.next(true);
    expect(rotation.current).toBeUndefined();
  });

  test('asks addresses that are not preferred last', () => {
    const [a, b] = givenMembers(['a', 'b']);
    if (a === undefined || b === undefined) throw new Error('never');
    const rotation = new Rotation([{ ...a, preferred: false }, b], inOrder);
    expect(rotation.current?.address).toBe('b');
    rotation.next(false);
    expect(rotation.current?.address).toBe('a');
  });
});
