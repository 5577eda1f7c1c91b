import { type Bytes, runeAt } from '../../go-template/bytes.ts';

/** What a pattern of path.Match accepts. `prefix`: how every path begins that it accepts. */
export type PathPattern = { readonly prefix: Bytes; readonly matches: (path: Bytes) => boolean };

type Item =
  | { readonly kind: 'text'; readonly text: Bytes }
  /** `?`: one character that is no slash. */
  | { readonly kind: 'any' }
  /** `[a-z]`: a class may accept a slash, too. */
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] };

/** What stands between two stars. `star`: any text without a slash may stand before it. */
type Chunk = { readonly star: boolean; readonly items: readonly Item[] };

/** Thrown inside only: the syntax is wrong. */
class PatternError extends Error {}

class PatternReader {
  readonly #pattern: Bytes;
  #at = 0;

  constructor(pattern: Bytes) {
    this.#pattern = pattern;
  }

  chunks(): readonly Chunk[] {
    const chunks: Chunk[] = [];
    while (this.#at < this.#pattern.length) {
      const start = this.#at;
      while (this.#pattern[this.#at] === '*') this.#at += 1;
      chunks.push({ star: this.#at > start, items: this.#items() });
    }
    return chunks;
  }

  #items(): readonly Item[] {
    const items: Item[] = [];
    let text = '';
    const end = () => {
      if (text !== '') items.push({ kind: 'text', text });
      text = '';
    };
    for (let char = this.#pattern[this.#at]; char !== undefined && char !== '*'; char = this.#pattern[this.#at]) {
      this.#at += 1;
      if (char === '?' || char === '[') {
        end();
        items.push(char === '?' ? { kind: 'any' } : this.#class());
      } else text += char === '\\' ? this.#escaped() : char;
    }
    end();
    return items;
  }

  #escaped(): Bytes {
    const char = this.#pattern[this.#at];
    if (char === undefined) throw new PatternError();
    this.#at += 1;
    return char;
  }

  #class(): Item {
    const negated = this.#pattern[this.#at] === '^';
    if (negated) this.#at += 1;
    const ranges: [number, number][] = [];
    while (this.#pattern[this.#at] !== ']' || ranges.length === 0) {
      const low = this.#member();
      let high = low;
      if (this.#pattern[this.#at] === '-') {
        this.#at += 1;
        high = this.#member();
      }
      ranges.push([low, high]);
    }
    this.#at += 1;
    return { kind: 'class', negated, ranges };
  }

  #member(): number {
    const char = this.#pattern[this.#at];
    if (char === undefined || char === '-' || char === ']') throw new PatternError();
    if (char === '\\') this.#at += 1;
    if (this.#at >= this.#pattern.length) throw new PatternError();
    const { rune, size } = runeAt(this.#pattern, this.#at);
    this.#at += size;
    if ((rune === 0xfffd && size === 1) || this.#at >= this.#pattern.length) throw new PatternError();
    return rune;
  }
}

/** Where the items end in a path when they begin at an index; undefined where they do not fit. */
function endOf(items: readonly Item[], path: Bytes, start: number): number | undefined {
  let at = start;
  for (const item of items) {
    if (item.kind === 'text') {
      if (!path.startsWith(item.text, at)) return undefined;
      at += item.text.length;
      continue;
    }
    if (at >= path.length || (item.kind === 'any' && path[at] === '/')) return undefined;
    const { rune, size } = runeAt(path, at);
    at += size;
    if (item.kind === 'class' && item.ranges.some(([low, high]) => low <= rune && rune <= high) === item.negated)
      return undefined;
  }
  return at;
}

function accepts(chunks: readonly Chunk[], path: Bytes): boolean {
  let at = 0;
  for (const [i, { star, items }] of chunks.entries()) {
    if (star && items.length === 0) return !path.includes('/', at);
    const isLast = i === chunks.length - 1;
    const fits = (start: number): number | undefined => {
      const end = endOf(items, path, start);
      return isLast && end !== path.length ? undefined : end;
    };
    let end = fits(at);
    for (let skipped = at; star && end === undefined && skipped < path.length && path[skipped] !== '/'; skipped++)
      end = fits(skipped + 1);
    if (end === undefined) return false;
    at = end;
  }
  return at === path.length;
}

/** Compiles a pattern of path.Match: `*`, `?`, `[a-z]`, `[^a]` and `\` before a character that stands for itself; undefined where its syntax is wrong. */
export function pathPattern(pattern: Bytes): PathPattern | undefined {
  try {
    const chunks = new PatternReader(pattern).chunks();
    const [first] = chunks;
    const [item] = first?.star === false ? first.items : [];
    return { prefix: item?.kind === 'text' ? item.text : '', matches: (path) => accepts(chunks, path) };
  } catch (error) {
    if (error instanceof PatternError) return undefined;
    throw error;
  }
}
