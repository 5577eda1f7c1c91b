/** A part of a regular expression. */
export type RegexPart =
  | { readonly kind: 'char'; readonly chars: Chars }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'sequence'; readonly parts: readonly RegexPart[] }
  | { readonly kind: 'choice'; readonly branches: readonly RegexPart[] }
  | { readonly kind: 'repeat'; readonly part: RegexPart; readonly least: number; readonly most: number };

/** The characters that one place can match. `other` is any that is not printable ASCII. */
export type Chars = ReadonlySet<string>;

const other = '\u0080';

const mostDepth = 16;
const mostRepeats = 64;

const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i));
/** The characters of `.`. */
export const anyChar: Chars = new Set([...printable, other]);
const range = (from: string, to: string): string[] => printable.filter((char) => char >= from && char <= to);
const digits = range('0', '9');
const words = [...digits, ...range('A', 'Z'), ...range('a', 'z'), '_'];
const without = (some: Iterable<string>): Chars => {
  const excluded = new Set(some);
  // A negated class always matches some character that is not ASCII.
  excluded.delete(other);
  return new Set([...anyChar].filter((char) => !excluded.has(char)));
};

const classes: Readonly<Record<string, Chars>> = {
  d: new Set(digits),
  D: without(digits),
  w: new Set(words),
  W: without(words),
  s: new Set([' ', other]),
  S: without([' ']),
};

/** Why an expression is refused. */
export class RefusedRegex extends Error {}

/** Reads a regular expression by recursive descent. It refuses what is not the same in PCRE2 and JavaScript. */
export class RegexReader {
  groups = 0;
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): RegexPart {
    const whole = this.#alternation(0, true);
    if (this.#at < this.#text.length) throw new RefusedRegex(`there is a ")" too many at character ${this.#at + 1}`);
    return whole;
  }

  /** `first`: nothing of the expression comes before this part, so it may begin with "^". */
  #alternation(depth: number, first: boolean): RegexPart {
    if (depth > mostDepth) throw new RefusedRegex(`its groups are nested more than ${mostDepth} deep`);
    const branches = [this.#sequence(depth, first)];
    while (this.#take('|')) branches.push(this.#sequence(depth, first));
    const [only] = branches;
    return branches.length === 1 && only !== undefined ? only : { kind: 'choice', branches };
  }

  #sequence(depth: number, first: boolean): RegexPart {
    const parts: RegexPart[] = [];
    while (this.#at < this.#text.length && !'|)'.includes(this.#peek())) {
      parts.push(this.#quantified(depth, first && parts.length === 0));
    }
    return { kind: 'sequence', parts };
  }

  #quantified(depth: number, first: boolean): RegexPart {
    const part = this.#atom(depth, first);
    const quantifier = this.#quantifier();
    if (quantifier === undefined) return part;
    if (part.kind === 'start' || part.kind === 'end') throw new RefusedRegex('a quantifier follows "^" or "$"');
    if (quantifier.most > 1 && widthOf(part) === undefined) {
      throw new RefusedRegex(
        'a group with a quantifier, "|", "^" or "$" in it is repeated, which can take very long: repeat a class such as "[a-z/]+"',
      );
    }
    if (quantifier.most > 1 && widthOf(part) === 0) throw new RefusedRegex('a group that may be empty is repeated');
    return { kind: 'repeat', part, ...quantifier };
  }

  #quantifier(): { readonly least: number; readonly most: number } | undefined {
    const [found, sign, least = '', comma, most = ''] =
      /^(?:([?*+])|\{(\d{1,3})(,?)(\d{0,3})\})/.exec(this.#text.slice(this.#at)) ?? [];
    if (found === undefined) {
      if (this.#at < this.#text.length && this.#peek() === '{')
        throw new RefusedRegex('"{" without "\\" is no quantifier here');
      return undefined;
    }
    this.#at += found.length;
    if (this.#take('+')) throw new RefusedRegex('possessive quantifiers ("*+") are not possible');
    this.#take('?');
    if (/^[*+?{]/.test(this.#text.slice(this.#at))) throw new RefusedRegex('a quantifier follows another one');
    if (sign !== undefined) {
      return { least: sign === '+' ? 1 : 0, most: sign === '?' ? 1 : Number.POSITIVE_INFINITY };
    }
    const from = Number(least);
    const to = comma === '' ? from : most === '' ? Number.POSITIVE_INFINITY : Number(most);
    if (from > mostRepeats || (Number.isFinite(to) && (to > mostRepeats || to < from || to === 0))) {
      throw new RefusedRegex(`"${found}" repeats more than ${mostRepeats} times, or never`);
    }
    return { least: from, most: to };
  }

  #atom(depth: number, first: boolean): RegexPart {
    const char = this.#next();
    switch (char) {
      case '^':
        if (!first) throw new RefusedRegex('"^" is possible only at the beginning');
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '.':
        return { kind: 'char', chars: anyChar };
      case '[':
        return { kind: 'char', chars: this.#class() };
      case '(':
        return this.#group(depth, first);
      case '\\':
        return { kind: 'char', chars: this.#escape() };
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
        throw new RefusedRegex(`"${char}" at character ${this.#at} needs a "\\"`);
      default:
        return { kind: 'char', chars: new Set([char]) };
    }
  }

  #group(depth: number, first: boolean): RegexPart {
    if (this.#take('?')) {
      if (!this.#take(':')) throw new RefusedRegex('of groups that begin with "(?", only "(?:" is possible');
    } else this.groups += 1;
    const inner = this.#alternation(depth + 1, first);
    if (!this.#take(')')) throw new RefusedRegex('a ")" is missing');
    return inner;
  }

  #escape(): Chars {
    const char = this.#next();
    const known = classes[char];
    if (known !== undefined) return known;
    if (/[A-Za-z0-9]/.test(char)) throw new RefusedRegex(`"\\${char}" is not possible`);
    return new Set([char]);
  }

  #class(): Chars {
    const negated = this.#take('^');
    const chars = new Set<string>();
    if (this.#at < this.#text.length && this.#peek() === ']')
      throw new RefusedRegex('an empty class "[]" is not possible');
    while (!this.#take(']')) {
      const char = this.#next();
      if (char === '[') throw new RefusedRegex('a "[" in a class needs a "\\"');
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
        throw new RefusedRegex('a range in a class has no order');
      }
      for (const each of range(low, high)) chars.add(each);
    }
    return negated ? without(chars) : chars;
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #next(): string {
    const char = this.#text[this.#at];
    if (char === undefined) throw new RefusedRegex('it ends within a group, a class or an escape');
    this.#at += 1;
    return char;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }
}

/** How many characters a part always takes; undefined: it varies, or it tests more than characters. */
function widthOf(part: RegexPart): number | undefined {
  if (part.kind === 'char') return 1;
  if (part.kind !== 'sequence') return undefined;
  let width = 0;
  for (const each of part.parts) {
    const more = widthOf(each);
    if (more === undefined) return undefined;
    width += more;
  }
  return width;
}
