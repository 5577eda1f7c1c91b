import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rotation } from './rotation.ts';

const inOrder = () => 0.999;

/** Who is asked, with those silent that are named. */
function asked(
  count: number,
  silent: (endpoint: string, turn: number) => boolean,
  endpoints = ['a', 'b', 'c'],
): string {
  const rotation = new Rotation(endpoints, inOrder);
  let told = '';
  for (let turn = 0; turn < count; turn += 1) {
    told += rotation.current;
    rotation.next(silent(rotation.current, turn));
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
});
