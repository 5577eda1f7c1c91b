import { describe, expect, test } from 'vitest';
import { lookAtTurns, type Turns } from './passed-over.ts';

const look = (
  before: Turns | undefined,
  given: Readonly<Record<string, { chosen: number; weight?: number; status?: string; backup?: boolean }>>,
  joined = false,
) => {
  const rows = Object.entries(given).map(
    ([id, one]) => [id, { status: 'UP', weight: 100, backup: false, ...one }] as const,
  );
  return lookAtTurns(before, new Map(rows), joined);
};
const began = (given: Parameters<typeof look>[1]) => look(undefined, given, true).turns;

describe('a server of a round robin is passed over', () => {
  const first = began({ a: { chosen: 700 }, b: { chosen: 700 }, c: { chosen: 300 } });

  test('if the others got four times its share, and at least 20 requests', () => {
    expect(look(first, { a: { chosen: 709 }, b: { chosen: 709 }, c: { chosen: 300 } }).passedOver).toEqual([]);
    expect(look(first, { a: { chosen: 710 }, b: { chosen: 710 }, c: { chosen: 300 } }).passedOver).toEqual(['c']);
  });

  test('after more requests if its weight is small', () => {
    const light = began({ a: { chosen: 0, weight: 99 }, b: { chosen: 0, weight: 1 } });
    expect(look(light, { a: { chosen: 399, weight: 99 }, b: { chosen: 0, weight: 1 } }).passedOver).toEqual([]);
    expect(look(light, { a: { chosen: 400, weight: 99 }, b: { chosen: 0, weight: 1 } }).passedOver).toEqual(['b']);
  });

  test('although no single look saw many requests', () => {
    const second = look(first, { a: { chosen: 707 }, b: { chosen: 707 }, c: { chosen: 300 } });
    expect(second.passedOver).toEqual([]);
    expect(look(second.turns, { a: { chosen: 711 }, b: { chosen: 711 }, c: { chosen: 300 } }).passedOver).toEqual([
      'c',
    ]);
  });

  test('although servers join again and again', () => {
    const second = look(first, { a: { chosen: 707 }, b: { chosen: 707 }, c: { chosen: 300 } }, true);
    const third = { a: { chosen: 711 }, b: { chosen: 711 }, c: { chosen: 300 }, d: { chosen: 1 } };
    expect(look(second.turns, third, true).passedOver).toEqual(['c']);
  });

  test('not if it is down, in maintenance, without weight or in another zone', () => {
    const others = { a: { chosen: 900 }, b: { chosen: 900 } };
    for (const c of [{ status: 'DOWN' }, { status: 'MAINT' }, { weight: 0 }, { backup: true }]) {
      expect(look(first, { ...others, c: { chosen: 300, ...c } }).passedOver, JSON.stringify(c)).toEqual([]);
    }
  });

  test('not because of requests of a time when it was not usable', () => {
    const down = look(first, { a: { chosen: 900 }, b: { chosen: 900 }, c: { chosen: 300, status: 'DOWN' } });
    const up = { a: { chosen: 905 }, b: { chosen: 905 }, c: { chosen: 300 } };
    expect(look(down.turns, up, true).passedOver).toEqual([]);
  });

  test('not at once again when it got a new place, and three times in a row at most', () => {
    let { turns } = look(first, { a: { chosen: 710 }, b: { chosen: 710 }, c: { chosen: 300 } });
    expect(look(turns, { a: { chosen: 715 }, b: { chosen: 715 }, c: { chosen: 300 } }).passedOver).toEqual([]);
    const later = [720, 730, 740].map((chosen) => {
      const next = look(turns, { a: { chosen }, b: { chosen }, c: { chosen: 300 } });
      turns = next.turns;
      return { passedOver: next.passedOver, settled: next.settled };
    });
    expect(later).toEqual([
      { passedOver: ['c'], settled: false },
      { passedOver: ['c'], settled: true },
      { passedOver: [], settled: true },
    ]);
  });
});

describe('a service is settled', () => {
  const first = began({ a: { chosen: 5 }, b: { chosen: 5 } });

  test('when each server was chosen since the last one joined, not in the first look', () => {
    expect(look(undefined, { a: { chosen: 5 }, b: { chosen: 5 } }, true).settled).toBe(false);
    const second = look(first, { a: { chosen: 6 }, b: { chosen: 5 } });
    expect(second.settled).toBe(false);
    expect(look(second.turns, { a: { chosen: 6 }, b: { chosen: 6 } }).settled).toBe(true);
    expect(look(second.turns, { a: { chosen: 6 }, b: { chosen: 6 } }, true).settled).toBe(false);
  });

  test('not by the counts of a server that was deleted and added again', () => {
    const again = look(first, { a: { chosen: 6 }, b: { chosen: 0 } }, true);
    expect(again.settled).toBe(false);
    expect(look(again.turns, { a: { chosen: 6 }, b: { chosen: 1 } }).settled).toBe(true);
  });
});
