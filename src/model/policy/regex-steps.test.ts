import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mostStepsFor, parseBoundedRegex } from './bounded-regex.ts';
import { mostStepsOf } from './regex-steps.ts';
import { type RegexPart, RegexReader } from './regex-syntax.ts';

const read = (text: string) => new RegexReader(text).read();

/** A backtracking engine that counts its steps, and gives up after too many. */
function match(whole: RegexPart, text: string, lazy: boolean, most = Number.POSITIVE_INFINITY) {
  let steps = 0;
  const step = () => {
    steps += 1;
    if (steps > most) throw new Error(`more than ${most} steps`);
  };
  const go = (part: RegexPart, at: number, next: (at: number) => boolean): boolean => {
    switch (part.kind) {
      case 'char':
        step();
        return at < text.length && part.chars.has(text[at] ?? '') && next(at + 1);
      case 'start':
        step();
        return at === 0 && next(at);
      case 'end':
        step();
        return at === text.length && next(at);
      case 'sequence': {
        const from = (index: number, here: number): boolean => {
          const inner = part.parts[index];
          return inner === undefined ? next(here) : go(inner, here, (there) => from(index + 1, there));
        };
        return from(0, at);
      }
      case 'choice':
        return part.branches.some((branch) => {
          step();
          return go(branch, at, next);
        });
      case 'repeat': {
        const again = (count: number, here: number): boolean => {
          const more = () => {
            if (count === part.most) return false;
            step();
            return go(part.part, here, (there) => again(count + 1, there));
          };
          if (count < part.least) return more();
          return lazy ? next(here) || more() : more() || next(here);
        };
        return again(0, at);
      }
    }
  };
  let found = false;
  for (let at = 0; at <= text.length && !found; at += 1) found = go(whole, at, () => true);
  return { steps, found };
}

const character = fc.constantFrom('a', 'b', 'c', '.', '[ab]', '[bc]', '[^a]', '[^b]', '[^ -~]', '\\w', '\\S');
const quantifier = fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,3}', '{2,}');
const { expression } = fc.letrec<{ expression: string; atom: string; part: string; sequence: string }>((tie) => ({
  expression: fc
    .array(fc.tuple(fc.constantFrom('', '^'), tie('sequence'), fc.constantFrom('', '$')), {
      minLength: 1,
      maxLength: 3,
    })
    .map((branches) => branches.map((branch) => branch.join('')).join('|')),
  atom: fc.oneof(
    { depthSize: 'small' },
    character,
    fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }).map((branches) => `(${branches.join('|')})`),
  ),
  part: fc.tuple(tie('atom'), quantifier).map(([atom, count]) => atom + count),
  sequence: fc.array(tie('part'), { maxLength: 4 }).map((parts) => parts.join('')),
}));
const readable = expression.filter((text) => {
  try {
    read(text);
    return text.length <= 60;
  } catch {
    return false;
  }
});
const texts = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'x', '\u0080'), maxLength: 16 }),
  fc
    .tuple(fc.constantFrom('a', 'b', 'ab', 'abc', 'c', '\u0080'), fc.nat(16))
    .map(([unit, count]) => unit.repeat(count)),
);

test('no text takes an engine more steps than the calculated number', () => {
  fc.assert(
    fc.property(readable, texts, fc.boolean(), (expression, text, lazy) => {
      const whole = read(expression);
      const { steps, found } = match(whole, text, lazy, 1e6);
      expect(steps).toBeLessThanOrEqual(mostStepsOf(whole, text.length));
      expect(found).toBe(new RegExp(expression).test(text));
    }),
    { numRuns: 4000 },
  );
});

/** A text that an expression nearly matches: its characters, each repeated as often as the expression allows. */
function* nearMatches(whole: RegexPart, length: number): Generator<string> {
  const units = new Set<string>();
  const collect = (part: RegexPart): void => {
    if (part.kind === 'char') for (const char of [...part.chars].slice(0, 2)) units.add(char);
    if (part.kind === 'sequence') part.parts.forEach(collect);
    if (part.kind === 'choice') part.branches.forEach(collect);
    if (part.kind === 'repeat') collect(part.part);
  };
  collect(whole);
  for (const one of units) {
    yield one.repeat(length);
    for (const two of units) yield (one.repeat(length / 2) + two.repeat(length / 2)).slice(0, length);
  }
}

test('an accepted expression takes at most 64 steps for each character of a text, and 4,096 more', () => {
  const accepted = readable.filter((text) => text.length > 0 && parseBoundedRegex(text).ok);
  fc.assert(
    fc.property(accepted, (expression) => {
      const whole = read(expression);
      for (const text of [...nearMatches(whole, 10), ...nearMatches(whole, 600)])
        match(whole, text, false, mostStepsFor(text.length));
    }),
    { numRuns: 300 },
  );
});
