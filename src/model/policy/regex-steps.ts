import { anyChar, type Chars, type RegexPart } from './regex-syntax.ts';

/** What one part costs a backtracking engine at most, each time that the engine comes to it. */
type Cost = Beginning & {
  /** Steps within the part, when all of its possibilities are tried. */
  readonly steps: number;
  /** How often the engine goes on behind the part, past the first character there. */
  readonly ways: number;
  /** Steps of parts that cannot fail: the search ends with them, so they are taken once. */
  readonly once: number;
};

type Beginning = {
  /** The characters that it can begin with, and `textEnd`. */
  readonly first: Chars;
  /** Whether it can match nothing. */
  readonly empty: boolean;
  /** Steps until it fails at a character that it cannot begin with. */
  readonly refusal: number;
};

/** What follows a part, up to the end of the expression. */
type Following = Beginning & {
  /** Whether nothing but the end of the text has to follow, or nothing at all. */
  readonly isEnd: boolean;
};

// No character of a text.
const textEnd = 'end';

/**
 * How many steps a backtracking engine takes for a text of this length at most. The engine comes to a part again for each way in which
 * the parts before it can match. A quantifier has only one such way if no character that it takes can begin what follows: after each
 * shorter match, the engine fails at the next character.
 */
export function mostStepsOf(whole: RegexPart, length: number): number {
  const cost = costOf(whole, { first: new Set(), empty: true, refusal: 0, isEnd: true }, length);
  // Without a "^" in each branch, the engine begins again at each character.
  const further = isAnchored(whole) ? cost.refusal : cost.steps;
  return cost.once + cost.steps + length * further;
}

function costOf(part: RegexPart, following: Following, length: number): Cost {
  switch (part.kind) {
    case 'char':
      return { steps: 1, ways: 1, once: 0, first: part.chars, empty: false, refusal: 1 };
    case 'start':
      return { steps: 1, ways: 1, once: 0, first: new Set(), empty: true, refusal: 1 };
    case 'end':
      return { steps: 1, ways: 1, once: 0, first: new Set([textEnd]), empty: false, refusal: 1 };
    case 'sequence':
      return costOfSequence(part.parts, following, length);
    case 'choice':
      return costOfChoice(part.branches, following, length);
    case 'repeat':
      return costOfRepeat(part, following, length);
  }
}

function costOfSequence(parts: readonly RegexPart[], following: Following, length: number): Cost {
  let behind = following;
  let sum: Cost = { steps: 0, ways: 1, once: 0, first: new Set(), empty: true, refusal: 0 };
  for (const part of parts.toReversed()) {
    const cost = costOf(part, behind, length);
    behind = { ...before(cost, behind), isEnd: part.kind === 'end' && behind.isEnd };
    sum = {
      ...before(cost, sum),
      steps: cost.steps + cost.ways * sum.steps,
      ways: cost.ways * sum.ways,
      once: cost.once + sum.once,
    };
  }
  return sum;
}

const before = (one: Beginning, next: Beginning): Beginning => ({
  first: one.empty ? new Set([...one.first, ...next.first]) : one.first,
  empty: one.empty && next.empty,
  refusal: one.empty ? one.refusal + next.refusal : one.refusal,
});

function costOfChoice(branches: readonly RegexPart[], following: Following, length: number): Cost {
  const costs = branches.map((branch) => costOf(branch, following, length));
  const sum = (of: (cost: Cost) => number) => costs.reduce((total, cost) => total + of(cost), 0);
  const first = new Set(costs.flatMap((cost) => [...cost.first]));
  const refusal = branches.length + sum((cost) => cost.refusal);
  const empty = costs.some((cost) => cost.empty);
  // One branch at most fits the next character.
  const isDisjoint = !empty && first.size === sum((cost) => cost.first.size);
  return {
    first,
    empty,
    refusal,
    steps: isDisjoint
      ? refusal + Math.max(...costs.map(({ steps }) => steps))
      : branches.length + sum(({ steps }) => steps),
    ways: isDisjoint ? Math.max(...costs.map(({ ways }) => ways)) : sum(({ ways }) => ways),
    once: sum(({ once }) => once),
  };
}

function costOfRepeat(
  { part, least, most }: Extract<RegexPart, { kind: 'repeat' }>,
  following: Following,
  length: number,
): Cost {
  // A group that is repeated more than once takes as many characters each time, so what follows it does not change its cost.
  const inner = costOf(part, following, length);
  const times = Math.min(most, length + 1);
  const beginning = { first: inner.first, empty: least === 0 || inner.empty, refusal: inner.refusal + 1 };
  if (part.kind === 'char' && part.chars.size === anyChar.size && least <= 1 && most > length && following.isEnd) {
    return { ...beginning, steps: 1 + least, ways: 1, once: 3 * (length + 1) };
  }
  const isClosed = !inner.empty && !overlaps(inner.first, following.first);
  const more = isClosed ? 0 : times - Math.min(least, times);
  return {
    ...beginning,
    steps: (times + 1) * (inner.steps + 1) + (isClosed ? times * following.refusal : 0),
    ways: inner.ways + more,
    once: inner.once,
  };
}

function overlaps(some: Chars, others: Chars): boolean {
  for (const char of some) if (others.has(char)) return true;
  return false;
}

/** Whether it matches only at the beginning of a text. */
export function isAnchored(part: RegexPart): boolean {
  if (part.kind === 'start') return true;
  if (part.kind === 'choice') return part.branches.every(isAnchored);
  const [first] = part.kind === 'sequence' ? part.parts : [];
  return first !== undefined && isAnchored(first);
}
