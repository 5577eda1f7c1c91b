import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import { isAnchored, mostStepsOf } from './regex-steps.ts';
import { RefusedRegex, RegexReader } from './regex-syntax.ts';

/**
 * A regular expression of which HAProxy's PCRE2 finds a match, or finds that there is none, in a bounded time. It means the same in PCRE2
 * as in JavaScript.
 */
export type BoundedRegex = { readonly text: string; readonly groups: number };

const mostCharacters = 256;
/** HAProxy compares no longer text with an expression. `haproxy/match.lua` and `policy.mustache` have the same number. */
const longestTested = 2048;
/**
 * The steps of an engine that a text of this length may take: 64 for each character, and 64 characters more for each text. No quantifier
 * counts to more than 64, so beyond that the steps grow at least as fast as the text, and two lengths are enough. HAProxy takes some
 * nanoseconds for a step.
 */
export const mostStepsFor = (length: number): number => 64 * (length + 64);

/** Reads a regular expression of at most 256 printable ASCII characters. Refuses whatever could take long, or could differ between engines. */
export function parseBoundedRegex(text: string): Parsed<BoundedRegex> {
  if (text.length === 0 || text.length > mostCharacters) {
    return rejected(`a regular expression has 1 to ${mostCharacters} characters, not ${text.length}`);
  }
  if (!/^[\x20-\x7e]+$/.test(text)) return rejected('a regular expression is printable ASCII');
  try {
    const reader = new RegexReader(text);
    const whole = reader.read();
    new RegExp(text);
    for (const length of [longestTested, 64]) {
      const steps = mostStepsOf(whole, length);
      if (steps > mostStepsFor(length))
        return rejected(`${quote(text)}: ${tooManySteps(steps, length, isAnchored(whole))}`);
    }
    return accepted({ text, groups: reader.groups });
  } catch (error) {
    if (error instanceof RefusedRegex) return rejected(`${quote(text)}: ${error.message}`);
    return rejected(`${quote(text)} is not a regular expression`);
  }
}

function tooManySteps(steps: number, length: number, anchored: boolean): string {
  const count = steps < 1e9 ? `${steps} steps` : 'more than a billion steps';
  return (
    `it can take ${count} for a text of ${length} characters, more than ${mostStepsFor(length)}: ` +
    `${anchored ? '' : 'begin it, and each alternative, with "^", and '}let no quantifier match the character that comes behind it, such as ` +
    '"[^/]+/" instead of ".+/"'
  );
}
