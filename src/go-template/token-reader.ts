import type { Bytes } from './bytes.ts';
import { numberNode } from './constant.ts';
import type { Token } from './lex.ts';
import { TemplateError } from './template-error.ts';
import type { NumberNode } from './tree.ts';
import { unquote } from './unquote.ts';

/** Reads the tokens of a source one by one. Its errors have the place of a token. */
export class TokenReader {
  readonly #file: string;
  readonly #source: Bytes;
  readonly #tokens: readonly Token[];
  /** The index of the next token. Set it to read again from there. */
  index = 0;

  constructor(file: string, source: Bytes, tokens: readonly Token[]) {
    this.#file = file;
    this.#source = source;
    this.#tokens = tokens;
  }

  fail(message: string, token: Token = this.#last()): never {
    throw new TemplateError(this.#file, this.#source, token.at, message);
  }

  unexpected(token: Token, context: string): never {
    if (token.kind === 'error') this.fail(token.text, token);
    const word =
      token.kind === 'keyword' ? `<${token.text}>` : token.kind === 'end of file' ? 'EOF' : excerpt(token.text);
    this.fail(`unexpected ${word} in ${context}`, token);
  }

  #last(): Token {
    return this.#tokens[Math.max(0, this.index - 1)] ?? { kind: 'end of file', at: this.#source.length, text: '' };
  }

  peek(): Token {
    return this.#tokens[this.index] ?? { kind: 'end of file', at: this.#source.length, text: '' };
  }

  next(): Token {
    const token = this.peek();
    this.index += 1;
    return token;
  }

  peekPastSpace(): Token {
    if (this.peek().kind === 'space') this.index += 1;
    return this.peek();
  }

  nextPastSpace(): Token {
    this.peekPastSpace();
    return this.next();
  }

  expectRight(context: string): void {
    const token = this.nextPastSpace();
    if (token.kind !== 'right') this.unexpected(token, context);
  }

  /** The bytes of a token `string`. */
  string(token: Token): Bytes {
    return this.#constant(token, ({ text }) => unquote(text));
  }

  number(token: Token): NumberNode {
    return this.#constant(token, numberNode);
  }

  /** Runs what may throw a SyntaxError about a constant. */
  #constant<T>(token: Token, read: (token: Token) => T): T {
    try {
      return read(token);
    } catch (error) {
      if (error instanceof SyntaxError) this.fail(error.message, token);
      throw error;
    }
  }
}

export const isKeyword = (token: Token, word: string): boolean => token.kind === 'keyword' && token.text === word;

const excerpt = (text: Bytes): string =>
  JSON.stringify(text.length > 10 ? `${text.slice(0, 10)}` : text) + (text.length > 10 ? '...' : '');
