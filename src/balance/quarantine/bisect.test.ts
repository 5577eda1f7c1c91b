import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bisect, type ValidationAnswer } from './bisect.ts';

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `s${i}`);

/** A HAProxy that refuses each of `bad` that is not held, and names as many of them as it is told to. */
function haproxy(bad: ReadonlySet<string>, namesAtOnce: number, frameIsBad = false) {
  const questions: number[] = [];
  const ask = async (held: ReadonlySet<string>): Promise<ValidationAnswer<string>> => {
    questions.push(held.size);
    const left = [...bad].filter((one) => !held.has(one));
    if (left.length === 0 && !frameIsBad) return { ok: true };
    return {
      ok: false,
      reason: 'refused',
      named: new Map(left.slice(0, namesAtOnce).map((one) => [one, `no ${one}`])),
    };
  };
  return { ask, questions };
}

async function search(
  count: number,
  bad: readonly string[],
  namesAtOnce: number,
  more: { most?: number; frame?: boolean } = {},
) {
  const { ask, questions } = haproxy(new Set(bad), namesAtOnce, more.frame);
  const first = await ask(new Set());
  if (first.ok) throw new Error('nothing is bad');
  const candidates = names(count);
  const verdict = await bisect({ candidates, first, ask, most: more.most ?? 24, patient: () => true });
  return { verdict, questions: questions.length };
}

describe('those for whom HAProxy refuses a configuration', () => {
  test('are found in two questions when it names them', async () => {
    const { verdict, questions } = await search(1000, ['s7', 's123', 's999'], 10);
    expect([...(verdict?.offenders.keys() ?? [])].sort()).toEqual(['s123', 's7', 's999']);
    expect(verdict?.offenders.get('s7')).toBe('no s7');
    expect(questions).toBe(2);
  });

  test('are found one after the other when it stops at the first', async () => {
    const { verdict, questions } = await search(1000, ['s7', 's123', 's999'], 1);
    expect(verdict?.offenders.size).toBe(3);
    expect(questions).toBe(4);
  });

  test.each(['s0', 's1', 's499', 's500', 's998', 's999'])(
    'are found in a dozen questions among a thousand when it names nobody: %s',
    async (bad) => {
      const { verdict, questions } = await search(1000, [bad], 0);
      expect([...(verdict?.offenders.keys() ?? [])]).toEqual([bad]);
      expect(questions).toBeLessThanOrEqual(12);
    },
  );

  test('are not looked for among all when it is none of them', async () => {
    const { verdict, questions } = await search(1000, [], 0, { frame: true });
    expect(verdict).toBeUndefined();
    expect(questions).toBeLessThanOrEqual(13);
  });

  test('whatever they are and whatever it says, the check passes in the end, within the questions', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }).chain((count) =>
          fc.record({
            count: fc.constant(count),
            bad: fc.uniqueArray(fc.constantFrom(...names(count)), { minLength: 1, maxLength: 8 }),
            namesAtOnce: fc.integer({ min: 0, max: 3 }),
            most: fc.integer({ min: 4, max: 40 }),
          }),
        ),
        async ({ count, bad, namesAtOnce, most }) => {
          const { verdict, questions } = await search(count, bad, namesAtOnce, { most });
          expect(questions).toBeLessThanOrEqual(most);
          for (const one of bad) expect(verdict?.offenders.has(one)).toBe(true);
          // With questions enough, nobody else is held.
          if (most >= 4 + bad.length * 8) expect(verdict?.offenders.size).toBe(bad.length);
        },
      ),
    );
  });

  test('are held with all that changed when there is no time to look', async () => {
    const { ask } = haproxy(new Set(['s3']), 0);
    const first = { ok: false, reason: 'refused', named: new Map<string, string>() } as const;
    const verdict = await bisect({ candidates: names(9), first, ask, most: 24, patient: () => false });
    expect(verdict?.offenders.size).toBe(9);
    expect(verdict?.offenders.get('s0')).toBe('one of 9 that changed: refused');
  });
});
