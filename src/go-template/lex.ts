import { type Bytes, runeAt, textOf } from './bytes.ts';

export type TokenKind =
  | 'text'
  | 'left'
  | 'right'
  | 'space'
  | 'keyword'
  | 'identifier'
  | 'field'
  | 'variable'
  | 'dot'
  | 'bool'
  | 'number'
  | 'complex'
  | 'character'
  | 'string'
  | 'pipe'
  | '('
  | ')'
  | 'declare'
  | 'assign'
  | 'char'
  | 'end of file'
  | 'error';

/** A token of a template. `at` is the index of its first byte; `text` of an error is the reason. */
export type Token = { readonly kind: TokenKind; readonly at: number; readonly text: Bytes };

const keywords = new Set([
  'block',
  'break',
  'continue',
  'define',
  'else',
  'end',
  'if',
  'nil',
  'range',
  'template',
  'with',
]);

const space = ' \t\r\n';
const isSpace = (char: string): boolean => char !== '' && space.includes(char);
const trimsLeft = (source: Bytes, at: number): boolean => source[at] === '-' && isSpace(source.charAt(at + 1));
const trimsRight = (source: Bytes, at: number): boolean => isSpace(source.charAt(at)) && source[at + 1] === '-';

/** The index behind the letters, digits and underscores that begin at `at`. */
function wordEnd(source: Bytes, at: number): number {
  let end = at;
  while (end < source.length) {
    const code = source.charCodeAt(end);
    if (code >= 0x80) {
      const { rune, size } = runeAt(source, end);
      if (!/[\p{L}\p{Nd}]/u.test(String.fromCodePoint(rune))) break;
      end += size;
    } else if (/\w/.test(source.charAt(end))) end += 1;
    else break;
  }
  return end;
}

const number =
  /[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?/y;
const quoted = /"(?:[^"\\\n]|\\[^\n])*"/y;
const character = /'(?:[^'\\\n]|\\[^\n])*'/y;
const raw = /`[^`]*`/y;

function match(pattern: RegExp, source: Bytes, at: number): Bytes | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

/** The code point at a place, as Go's %#U prints it. */
function showRune(source: Bytes, at: number): string {
  if (at >= source.length) return 'U+FFFFFFFFFFFFFFFF';
  const { rune } = runeAt(source, at);
  return `U+${rune.toString(16).toUpperCase().padStart(4, '0')} '${String.fromCodePoint(rune)}'`;
}

const signs: Readonly<Record<string, TokenKind>> = {
  '=': 'assign',
  ':': 'declare',
  '|': 'pipe',
  '(': '(',
  ')': ')',
};

/** Thrown inside only: becomes the token `error`. */
class LexError extends Error {}

class Lexer {
  readonly #source: Bytes;
  readonly #left: Bytes;
  readonly #right: Bytes;
  readonly #isFunction: (name: string) => boolean;
  readonly tokens: Token[] = [];
  #at = 0;
  #parens = 0;

  constructor(source: Bytes, left: Bytes, right: Bytes, isFunction: (name: string) => boolean) {
    this.#source = source;
    this.#left = left;
    this.#right = right;
    this.#isFunction = isFunction;
  }

  run(): readonly Token[] {
    try {
      while (this.#text());
    } catch (error) {
      if (!(error instanceof LexError)) throw error;
      this.tokens.push({ kind: 'error', at: this.#at, text: error.message });
    }
    return this.tokens;
  }

  #emit(kind: TokenKind, end: number): void {
    this.tokens.push({ kind, at: this.#at, text: this.#source.slice(this.#at, end) });
    this.#at = end;
  }

  /** Text up to the next action, and that action. Answers false at the end. */
  #text(): boolean {
    const source = this.#source;
    const found = source.indexOf(this.#left, this.#at);
    const start = found === -1 ? source.length : found;
    const inside = start + this.#left.length;
    const trims = found !== -1 && trimsLeft(source, inside);
    let end = start;
    while (trims && end > this.#at && isSpace(source.charAt(end - 1))) end -= 1;
    if (end > this.#at) this.#emit('text', end);
    this.#at = start;
    if (found === -1) {
      this.#emit('end of file', start);
      return false;
    }
    if (source.startsWith('/*', trims ? inside + 2 : inside)) {
      this.#comment(trims ? inside + 2 : inside);
      return true;
    }
    this.#emit('left', inside);
    if (trims) this.#at += 2;
    this.#parens = 0;
    while (!this.#rightDelimiter()) this.#token();
    return true;
  }

  #comment(start: number): void {
    const close = this.#source.indexOf('*/', start + 2);
    if (close === -1) throw new LexError('unclosed comment');
    this.#at = close + 2;
    const trims = this.#trimmedEnd();
    if (!trims && !this.#source.startsWith(this.#right, this.#at))
      throw new LexError('comment ends before closing delimiter');
    this.#at += (trims ? 2 : 0) + this.#right.length;
    if (trims) this.#skipSpace();
  }

  readonly #trimmedEnd = (): boolean =>
    trimsRight(this.#source, this.#at) && this.#source.startsWith(this.#right, this.#at + 2);

  #skipSpace(): void {
    while (isSpace(this.#source.charAt(this.#at))) this.#at += 1;
  }

  /** Whether the action ends here; if so, takes its end. */
  #rightDelimiter(): boolean {
    const trims = this.#trimmedEnd();
    if (!trims && !this.#source.startsWith(this.#right, this.#at)) return false;
    if (this.#parens > 0) throw new LexError('unclosed left paren');
    if (trims) this.#at += 2;
    this.#emit('right', this.#at + this.#right.length);
    if (trims) this.#skipSpace();
    return true;
  }

  #token(): void {
    const source = this.#source;
    const char = source.charAt(this.#at);
    const next = source.charAt(this.#at + 1);
    if (char === '') throw new LexError('unclosed action');
    if (isSpace(char)) this.#space();
    else if (char === '"') this.#quoted('string', quoted, 'unterminated quoted string');
    else if (char === "'") this.#quoted('character', character, 'unterminated character constant');
    else if (char === '`') this.#quoted('string', raw, 'unterminated raw quoted string');
    else if (char === '$') this.#word('variable', this.#at + 1);
    else if (char === '.' && next !== '' && !/[0-9]/.test(next)) {
      this.#word(wordEnd(source, this.#at + 1) === this.#at + 1 ? 'dot' : 'field', this.#at + 1);
    } else if (/[-+.0-9]/.test(char)) this.#number();
    else if (wordEnd(source, this.#at) > this.#at) this.#identifier();
    else this.#sign(char);
  }

  #sign(char: string): void {
    if (char === ':' && this.#source[this.#at + 1] !== '=') throw new LexError('expected :=');
    if (char === '(') this.#parens += 1;
    if (char === ')') this.#parens -= 1;
    if (this.#parens < 0) throw new LexError("unexpected right paren U+0029 ')'");
    if (!/[!-~]/.test(char)) {
      throw new LexError(`unrecognized character in action: ${showRune(this.#source, this.#at)}`);
    }
    this.#emit(signs[char] ?? 'char', this.#at + (char === ':' ? 2 : 1));
  }

  #space(): void {
    let end = this.#at;
    while (isSpace(this.#source.charAt(end))) end += 1;
    // The last space belongs to a trimming end: " -}}".
    const trims = this.#source[end] === '-' && this.#source.startsWith(this.#right, end + 1);
    if (trims) end -= 1;
    if (end > this.#at) this.#emit('space', end);
  }

  #quoted(kind: TokenKind, pattern: RegExp, unterminated: string): void {
    const found = match(pattern, this.#source, this.#at);
    if (found === undefined) throw new LexError(unterminated);
    this.#emit(kind, this.#at + found.length);
  }

  #number(): void {
    const first = this.#at + (match(number, this.#source, this.#at)?.length ?? 0);
    const bad = (end: number) => new LexError(`bad number syntax: "${textOf(this.#source.slice(this.#at, end))}"`);
    if (wordEnd(this.#source, first) > first) throw bad(first + 1);
    if (!/[+-]/.test(this.#source.charAt(first))) {
      this.#emit('number', first);
      return;
    }
    const second = first + (match(number, this.#source, first)?.length ?? 0);
    if (wordEnd(this.#source, second) > second || this.#source[second - 1] !== 'i') throw bad(second);
    this.#emit('complex', second);
  }

  #word(kind: TokenKind, start: number): void {
    const end = wordEnd(this.#source, start);
    this.#mustEnd(end);
    this.#emit(kind, end);
  }

  #identifier(): void {
    const end = wordEnd(this.#source, this.#at);
    this.#mustEnd(end);
    const word = this.#source.slice(this.#at, end);
    const shadowed = (word === 'break' || word === 'continue') && this.#isFunction(word);
    if (keywords.has(word) && !shadowed) this.#emit('keyword', end);
    else this.#emit(word === 'true' || word === 'false' ? 'bool' : 'identifier', end);
  }

  /** What may stand behind a word: `$x+2` is refused, `.a.b` is two tokens. */
  #mustEnd(end: number): void {
    const next = this.#source.charAt(end);
    if (next === '' || isSpace(next) || '.,|:)('.includes(next) || this.#source.startsWith(this.#right, end)) return;
    throw new LexError(`bad character ${showRune(this.#source, end)}`);
  }
}

/** The tokens of a template; the last one is `end of file` or `error`. `isFunction` says which words are functions. */
export const lex = (
  source: Bytes,
  left: Bytes,
  right: Bytes,
  isFunction: (name: string) => boolean,
): readonly Token[] => new Lexer(source, left, right, isFunction).run();
