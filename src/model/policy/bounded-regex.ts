import { accepted, type Parsed, quote, rejected } from '../parsed.ts';

/**
 * A regular expression of which HAProxy's PCRE2 finds a match, or finds that there is none, in a bounded time. It means the same in PCRE2
 * as in JavaScript.
 */
export type BoundedRegex = { readonly text: string; readonly groups: number };

const mostCharacters = 256;
const mostDepth = 16;
const mostRepeats = 64;
// Each way in which a part can match the same text multiplies the attempts of a backtracking engine.
const mostWays = 64;
/** Quantifiers that may give back what they took: with two of them, the time grows with the square of the length. */
const mostAmbiguous = 2;

type Chars = ReadonlySet<string>;

/** A part of an expression: what it may begin with, and whether it always takes the same number of characters. */
type Part = {
  readonly first: Chars;
  readonly empty: boolean;
  /** It has no quantifier and no alternation. */
  readonly fixed: boolean;
  /** The characters that a quantifier repeats; undefined: this part is no quantifier of a varying count. */
  readonly varying: Chars | undefined;
  /** Whether the varying quantifier has a limit of 1 (`?`). */
  readonly optional: boolean;
};

const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i));
const all: Chars = new Set(printable);
const none: Chars = new Set();
const range = (from: string, to: string): string[] => printable.filter((char) => char >= from && char <= to);
const digits = range('0', '9');
const words = [...digits, ...range('A', 'Z'), ...range('a', 'z'), '_'];
const without = (some: Iterable<string>): Chars => new Set(printable.filter((char) => !new Set(some).has(char)));

const classes: Readonly<Record<string, Chars>> = {
  d: new Set(digits),
  D: without(digits),
  w: new Set(words),
  W: without(words),
  s: new Set([' ']),
  S: without([' ']),
};

class NotBounded extends Error {}

/** Reads a regular expression of at most 256 printable ASCII characters. Refuses whatever could take long, or could differ between engines. */
export function parseBoundedRegex(text: string): Parsed<BoundedRegex> {
  if (text.length === 0 || text.length > mostCharacters) {
    return rejected(`a regular expression has 1 to ${mostCharacters} characters, not ${text.length}`);
  }
  if (!/^[\x20-\x7e]+$/.test(text)) return rejected('a regular expression is printable ASCII');
  try {
    const reader = new Reader(text);
    reader.read();
    new RegExp(text);
    return accepted({ text, groups: reader.groups });
  } catch (error) {
    if (error instanceof NotBounded) return rejected(`${quote(text)}: ${error.message}`);
    return rejected(`${quote(text)} is not a regular expression`);
  }
}

/** A parser by recursive descent that counts how often a backtracking engine could try again. */
class Reader {
  groups = 0;
  readonly #text: string;
  #at = 0;
  #ways = 1;
  #ambiguous = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): void {
    // An engine tries an expression without a beginning at each character of the text, as if it began with `.*`.
    const branches = this.#text.split('|');
    if (!branches.every((branch) => /^\(?(\?:)?\^/.test(branch)) && !/^\^\(.*\)\$?$/.test(this.#text))
      this.#addAmbiguous();
    this.#alternation(0);
    if (this.#at < this.#text.length) throw new NotBounded(`there is a ")" too many at character ${this.#at + 1}`);
  }

  #alternation(depth: number): Part {
    if (depth > mostDepth) throw new NotBounded(`its groups are nested more than ${mostDepth} deep`);
    const branches = [this.#sequence(depth)];
    while (this.#take('|')) branches.push(this.#sequence(depth));
    const [only] = branches;
    if (branches.length === 1 && only !== undefined) return only;
    const first = new Set(branches.flatMap((branch) => [...branch.first]));
    const disjoint = first.size === branches.reduce((sum, branch) => sum + branch.first.size, 0);
    if (!disjoint || branches.some(({ empty }) => empty)) this.#addWays(branches.length);
    return { first, empty: branches.some(({ empty }) => empty), fixed: false, varying: undefined, optional: false };
  }

  #sequence(depth: number): Part {
    const parts: Part[] = [];
    while (this.#at < this.#text.length && !'|)'.includes(this.#peek())) parts.push(this.#quantified(depth));
    for (const [at, { varying, optional }] of parts.entries()) {
      if (varying === undefined) continue;
      // What comes behind may begin with a character that the quantifier takes as well; at the end of a group, anything may come.
      const rest = parts.slice(at + 1);
      const isLast = depth > 0 && rest.every(({ empty }) => empty);
      const next = new Set([...firstOf(rest), ...(isLast && !this.#endsWithAnchor() ? this.#behindGroup() : [])]);
      if (!overlaps(varying, next)) continue;
      if (optional) this.#addWays(2);
      else this.#addAmbiguous();
    }
    return {
      first: firstOf(parts),
      empty: parts.every(({ empty }) => empty),
      fixed: parts.every(({ fixed }) => fixed),
      varying: undefined,
      optional: false,
    };
  }

  /** The characters that may follow the group whose end is here. Only one character behind it is looked at. */
  #behindGroup(): Chars {
    const next = this.#text.slice(this.#at + 1);
    const literal = /^[A-Za-z0-9_/:@,;=&!"'<>~`%# -](?![?*{])/.exec(next)?.[0];
    const escaped = /^\\([^A-Za-z0-9])(?![?*{])/.exec(next)?.[1];
    const known = literal ?? escaped;
    return known === undefined ? all : new Set([known]);
  }

  /** Whether nothing but the end of the text follows the group whose end is here. */
  #endsWithAnchor(): boolean {
    return /^\)+\$?$/.test(this.#text.slice(this.#at));
  }

  #quantified(depth: number): Part {
    const atom = this.#atom(depth);
    const quantifier = this.#quantifier();
    if (quantifier === undefined) return atom;
    const { least, most } = quantifier;
    if (atom === anchor) throw new NotBounded('a quantifier follows "^" or "$"');
    if (most > 1 && !atom.fixed) {
      throw new NotBounded('a group with a quantifier or with "|" in it is repeated, which can take very long');
    }
    if (most > 1 && atom.empty) throw new NotBounded('a group that may be empty is repeated');
    const varying = least === most ? undefined : atom.first;
    return { first: atom.first, empty: least === 0 || atom.empty, fixed: false, varying, optional: most === 1 };
  }

  #quantifier(): { readonly least: number; readonly most: number } | undefined {
    const [found, sign, least = '', comma, most = ''] =
      /^(?:([?*+])|\{(\d{1,3})(,?)(\d{0,3})\})/.exec(this.#text.slice(this.#at)) ?? [];
    if (found === undefined) {
      if (this.#at < this.#text.length && this.#peek() === '{')
        throw new NotBounded('"{" without "\\" is no quantifier here');
      return undefined;
    }
    this.#at += found.length;
    if (this.#take('+')) throw new NotBounded('possessive quantifiers ("*+") are not possible');
    this.#take('?');
    if (/^[*+?{]/.test(this.#text.slice(this.#at))) throw new NotBounded('a quantifier follows another one');
    if (sign !== undefined) {
      return { least: sign === '+' ? 1 : 0, most: sign === '?' ? 1 : Number.POSITIVE_INFINITY };
    }
    const from = Number(least);
    const to = comma === '' ? from : most === '' ? Number.POSITIVE_INFINITY : Number(most);
    if (from > mostRepeats || (Number.isFinite(to) && (to > mostRepeats || to < from || to === 0))) {
      throw new NotBounded(`"${found}" repeats more than ${mostRepeats} times, or never`);
    }
    return { least: from, most: to };
  }

  #atom(depth: number): Part {
    const char = this.#next();
    switch (char) {
      case '^':
      case '$':
        return anchor;
      case '.':
        return one(all);
      case '[':
        return one(this.#class());
      case '(':
        return this.#group(depth);
      case '\\':
        return one(this.#escape());
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
        throw new NotBounded(`"${char}" at character ${this.#at} needs a "\\"`);
      default:
        return one(new Set([char]));
    }
  }

  #group(depth: number): Part {
    if (this.#take('?')) {
      if (!this.#take(':')) throw new NotBounded('of groups that begin with "(?", only "(?:" is possible');
    } else this.groups += 1;
    const inner = this.#alternation(depth + 1);
    if (!this.#take(')')) throw new NotBounded('a ")" is missing');
    return inner;
  }

  #escape(): Chars {
    const char = this.#next();
    const known = classes[char];
    if (known !== undefined) return known;
    if (/[A-Za-z0-9]/.test(char)) throw new NotBounded(`"\\${char}" is not possible`);
    return new Set([char]);
  }

  #class(): Chars {
    const negated = this.#take('^');
    const chars = new Set<string>();
    if (this.#at < this.#text.length && this.#peek() === ']')
      throw new NotBounded('an empty class "[]" is not possible');
    while (!this.#take(']')) {
      const char = this.#next();
      if (char === '[') throw new NotBounded('a "[" in a class needs a "\\"');
      const from = char === '\\' ? this.#escape() : new Set([char]);
      const isRange = this.#at + 1 < this.#text.length && this.#peek() === '-' && this.#text[this.#at + 1] !== ']';
      if (!isRange) {
        for (const each of from) chars.add(each);
        continue;
      }
      this.#at += 1;
      const end = this.#next();
      const to = end === '\\' ? this.#escape() : new Set([end]);
      const [low, high] = [[...from][0], [...to][0]];
      if (from.size !== 1 || to.size !== 1 || low === undefined || high === undefined || low > high) {
        throw new NotBounded('a range in a class has no order');
      }
      for (const each of range(low, high)) chars.add(each);
    }
    return negated ? without(chars) : chars;
  }

  #addWays(factor: number): void {
    this.#ways *= factor;
    if (this.#ways > mostWays) throw new NotBounded('too many of its parts can match the same text in several ways');
  }

  #addAmbiguous(): void {
    this.#ambiguous += 1;
    if (this.#ambiguous > mostAmbiguous) {
      throw new NotBounded(
        'too many of its quantifiers can take the same text: begin it with "^", and use "[^/]+" instead of ".+"',
      );
    }
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #next(): string {
    const char = this.#text[this.#at];
    if (char === undefined) throw new NotBounded('it ends within a group, a class or an escape');
    this.#at += 1;
    return char;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }
}

const one = (chars: Chars): Part => ({ first: chars, empty: false, fixed: true, varying: undefined, optional: false });
const anchor: Part = { first: none, empty: true, fixed: true, varying: undefined, optional: false };

/** What a sequence may begin with. */
function firstOf(parts: readonly Part[]): Chars {
  const first = new Set<string>();
  for (const { first: chars, empty } of parts) {
    for (const char of chars) first.add(char);
    if (!empty) break;
  }
  return first;
}

function overlaps(some: Chars, others: Chars): boolean {
  for (const char of some) if (others.has(char)) return true;
  return false;
}
