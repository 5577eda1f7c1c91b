import { type Bytes, textOf } from './bytes.ts';
import { numberNode } from './constant.ts';
import { lex, type Token, type TokenKind } from './lex.ts';
import { type Command, type Definition, type Node, type Operand, type Pipeline, placeOf, show } from './tree.ts';
import { unquote } from './unquote.ts';

/** A template that Go would not accept, or whose execution failed. */
export class TemplateError extends Error {
  readonly file: string;
  readonly line: number;
  /** In bytes, from 1. */
  readonly column: number;
  constructor(file: string, source: Bytes, at: number, message: string) {
    super(textOf(message));
    const { line, column } = placeOf(source, at);
    this.file = file;
    this.line = line;
    this.column = column + 1;
  }
  /** `file:line:column`. */
  get where(): string {
    return `${this.file}:${this.line}:${this.column}`;
  }
}

export type ParseOptions = {
  /** The name of the file, for messages and as the name of the main template. */
  readonly file: string;
  readonly isFunction: (name: string) => boolean;
  readonly delimiters?: readonly [left: Bytes, right: Bytes];
};

/** Templates by name. */
export type Templates = ReadonlyMap<Bytes, Definition>;

/** How an item list ended. */
type End = { readonly kind: 'end' } | { readonly kind: 'else'; readonly branch: 'if' | 'with' | undefined };

const operandKinds: ReadonlySet<TokenKind> = new Set<TokenKind>([
  'bool',
  'character',
  'complex',
  'dot',
  'field',
  'identifier',
  'number',
  'string',
  'variable',
  '(',
]);

class Parser {
  readonly #tokens: readonly Token[];
  readonly #source: Bytes;
  readonly #options: ParseOptions;
  readonly #templates: Map<Bytes, Definition>;
  #index = 0;
  #variables: string[] = ['$'];
  #rangeDepth = 0;

  constructor(source: Bytes, options: ParseOptions, templates: Map<Bytes, Definition>) {
    const [left, right] = options.delimiters ?? ['{{', '}}'];
    this.#tokens = lex(source, left, right, options.isFunction);
    this.#source = source;
    this.#options = options;
    this.#templates = templates;
  }

  main(): void {
    const nodes: Node[] = [];
    while (this.#peek().kind !== 'end of file') {
      if (this.#peek().kind === 'left') {
        const start = this.#index;
        this.#next();
        if (this.#isKeyword(this.#peekPastSpace(), 'define')) {
          this.#next();
          this.#define();
          continue;
        }
        this.#index = start;
      }
      const item = this.#item();
      if ('ends' in item) this.#fail(`unexpected {{${item.ends.kind}}}`);
      nodes.push(item);
    }
    this.#add(this.#options.file, nodes);
  }

  #add(name: Bytes, body: readonly Node[]): void {
    const existing = this.#templates.get(name);
    if (existing !== undefined && !isEmpty(existing.body)) {
      if (!isEmpty(body)) this.#fail(`template: multiple definition of template "${name}"`);
      return;
    }
    this.#templates.set(name, { file: this.#options.file, source: this.#source, body });
  }

  #fail(message: string, token: Token = this.#last()): never {
    throw new TemplateError(this.#options.file, this.#source, token.at, message);
  }

  #unexpected(token: Token, context: string): never {
    if (token.kind === 'error') this.#fail(token.text, token);
    const word =
      token.kind === 'keyword' ? `<${token.text}>` : token.kind === 'end of file' ? 'EOF' : quote(token.text);
    this.#fail(`unexpected ${word} in ${context}`, token);
  }

  #last(): Token {
    return this.#tokens[Math.max(0, this.#index - 1)] ?? { kind: 'end of file', at: this.#source.length, text: '' };
  }

  #peek(): Token {
    return this.#tokens[this.#index] ?? { kind: 'end of file', at: this.#source.length, text: '' };
  }

  #next(): Token {
    const token = this.#peek();
    this.#index += 1;
    return token;
  }

  #peekPastSpace(): Token {
    if (this.#peek().kind === 'space') this.#index += 1;
    return this.#peek();
  }

  #nextPastSpace(): Token {
    this.#peekPastSpace();
    return this.#next();
  }

  #isKeyword(token: Token, word: string): boolean {
    return token.kind === 'keyword' && token.text === word;
  }

  #expectRight(context: string): void {
    const token = this.#nextPastSpace();
    if (token.kind !== 'right') this.#unexpected(token, context);
  }

  /** Runs what may throw a SyntaxError about a constant. */
  #constant<T>(token: Token, read: (token: Token) => T): T {
    try {
      return read(token);
    } catch (error) {
      if (error instanceof SyntaxError) this.#fail(error.message, token);
      throw error;
    }
  }

  #define(): void {
    const name = this.#templateName('define clause');
    this.#expectRight('define clause');
    this.#add(name, this.#separately('define clause'));
  }

  /** The body of a definition: no variable of the outside is seen in it. */
  #separately(context: string): readonly Node[] {
    const [variables, rangeDepth] = [this.#variables, this.#rangeDepth];
    this.#variables = ['$'];
    this.#rangeDepth = 0;
    const { nodes, end } = this.#items();
    if (end.kind !== 'end') this.#fail(`unexpected {{else}} in ${context}`);
    this.#variables = variables;
    this.#rangeDepth = rangeDepth;
    return nodes;
  }

  #templateName(context: string): Bytes {
    const token = this.#nextPastSpace();
    if (token.kind !== 'string') this.#unexpected(token, context);
    return this.#constant(token, ({ text }) => unquote(text));
  }

  #items(): { readonly nodes: readonly Node[]; readonly end: End } {
    const nodes: Node[] = [];
    while (this.#peekPastSpace().kind !== 'end of file') {
      const item = this.#item();
      if ('ends' in item) return { nodes, end: item.ends };
      nodes.push(item);
    }
    this.#fail('unexpected EOF', this.#peek());
  }

  #item(): Node | { readonly ends: End } {
    const token = this.#nextPastSpace();
    if (token.kind === 'text') return { kind: 'text', at: token.at, text: token.text };
    if (token.kind !== 'left') this.#unexpected(token, 'input');
    return this.#action();
  }

  #action(): Node | { readonly ends: End } {
    const token = this.#peekPastSpace();
    if (token.kind === 'keyword' && token.text !== 'nil') {
      this.#next();
      return this.#control(token);
    }
    return { kind: 'action', at: token.at, pipeline: this.#pipeline('command', 'right') };
  }

  #control(token: Token): Node | { readonly ends: End } {
    const { at, text: word } = token;
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        return this.#branch(word);
      case 'end':
        this.#expectRight('end');
        return { ends: { kind: 'end' } };
      case 'else':
        return { ends: { kind: 'else', branch: this.#elseThen() } };
      case 'break':
      case 'continue':
        this.#expectRight(`{{${word}}}`);
        if (this.#rangeDepth === 0) this.#fail(`{{${word}}} outside {{range}}`, token);
        return { kind: word, at };
      case 'template': {
        const name = this.#templateName('template clause');
        const ends = this.#peekPastSpace().kind === 'right';
        if (ends) this.#next();
        return { kind: 'template', at, name, pipeline: ends ? undefined : this.#pipeline('template clause', 'right') };
      }
      case 'block': {
        const name = this.#templateName('block clause');
        const pipeline = this.#pipeline('block clause', 'right');
        this.#add(name, this.#separately('block clause'));
        return { kind: 'template', at, name, pipeline };
      }
      default:
        return this.#unexpected(token, 'command');
    }
  }

  /** `{{else if` and `{{else with` go on with another branch; the word is left for it. */
  #elseThen(): 'if' | 'with' | undefined {
    const token = this.#peekPastSpace();
    if (this.#isKeyword(token, 'if')) return 'if';
    if (this.#isKeyword(token, 'with')) return 'with';
    this.#expectRight('else');
    return undefined;
  }

  #branch(kind: 'if' | 'with' | 'range'): Node {
    const visible = this.#variables.length;
    const pipeline = this.#pipeline(kind, 'right');
    if (kind === 'range') this.#rangeDepth += 1;
    const { nodes: body, end } = this.#items();
    if (kind === 'range') this.#rangeDepth -= 1;
    const otherwise = end.kind === 'else' ? this.#otherwise(kind, end.branch) : undefined;
    this.#variables.length = visible;
    return { kind, at: pipeline.at, pipeline, body, otherwise };
  }

  #otherwise(kind: 'if' | 'with' | 'range', then: 'if' | 'with' | undefined): readonly Node[] {
    if (then !== undefined) {
      const token = this.#next();
      if (then !== kind) this.#unexpected(token, 'else');
      return [this.#branch(then)];
    }
    const { nodes, end } = this.#items();
    if (end.kind !== 'end') this.#fail('expected end; found {{else}}');
    return nodes;
  }

  #pipeline(context: string, end: 'right' | ')'): Pipeline {
    const { at } = this.#peekPastSpace();
    const { variables, assigns } = this.#declarations(context);
    const commands: Command[] = [];
    for (;;) {
      const token = this.#peekPastSpace();
      if (token.kind === end) break;
      if (!operandKinds.has(token.kind) && !this.#isKeyword(token, 'nil')) this.#unexpected(this.#next(), context);
      commands.push(this.#command());
    }
    this.#next();
    if (commands.length === 0) this.#fail(`missing value for ${context}`);
    for (const [i, { operands }] of commands.entries()) {
      const { kind } = operands[0];
      const constant = kind === 'bool' || kind === 'dot' || kind === 'nil' || kind === 'number' || kind === 'string';
      if (i > 0 && constant) this.#fail(`non executable command in pipeline stage ${i + 1}`);
    }
    return { kind: 'pipeline', at, variables, assigns, commands };
  }

  #declarations(context: string): { readonly variables: readonly string[]; readonly assigns: boolean } {
    const variables: string[] = [];
    while (this.#peekPastSpace().kind === 'variable') {
      const start = this.#index;
      const name = this.#next().text;
      const sign = this.#nextPastSpace();
      if (sign.kind === 'assign' || sign.kind === 'declare') {
        this.#variables.push(name);
        return { variables: [...variables, name], assigns: sign.kind === 'assign' };
      }
      if (sign.kind !== 'char' || sign.text !== ',') {
        this.#index = start;
        break;
      }
      if (context !== 'range' || variables.length > 0) this.#fail(`too many declarations in ${context}`);
      variables.push(name);
      this.#variables.push(name);
      const { kind } = this.#peekPastSpace();
      if (kind !== 'variable' && kind !== 'right' && kind !== ')') this.#fail('range can only initialize variables');
    }
    return { variables, assigns: false };
  }

  #command(): Command {
    const { at } = this.#peekPastSpace();
    const operands: Operand[] = [];
    for (;;) {
      this.#peekPastSpace();
      const operand = this.#operand();
      if (operand !== undefined) operands.push(operand);
      const token = this.#peek();
      if (token.kind === 'space' || token.kind === 'pipe') this.#next();
      if (token.kind === 'space') continue;
      if (token.kind === 'pipe' || token.kind === 'right' || token.kind === ')') break;
      this.#unexpected(this.#next(), 'operand');
    }
    const [first, ...others] = operands;
    if (first === undefined) this.#fail('empty command');
    return { at, operands: [first, ...others] };
  }

  #operand(): Operand | undefined {
    const term = this.#term();
    if (term === undefined || this.#peek().kind !== 'field') return term;
    const { at } = this.#peek();
    const fields: string[] = [];
    while (this.#peek().kind === 'field') fields.push(this.#next().text.slice(1));
    switch (term.kind) {
      case 'field':
      case 'variable':
        return { ...term, at, fields: [...term.fields, ...fields] };
      case 'identifier':
      case 'pipeline':
      case 'chain':
        return { kind: 'chain', at, of: term, fields };
      default:
        return this.#fail(`unexpected . after term "${show(term)}"`);
    }
  }

  #term(): Operand | undefined {
    const token = this.#peekPastSpace();
    const { at, text } = token;
    if (!operandKinds.has(token.kind) && !this.#isKeyword(token, 'nil')) return undefined;
    this.#next();
    switch (token.kind) {
      case 'identifier':
        if (!this.#options.isFunction(text)) this.#fail(`function "${text}" not defined`, token);
        return { kind: 'identifier', at, name: text };
      case 'dot':
        return { kind: 'dot', at };
      case 'variable':
        if (!this.#variables.includes(text)) this.#fail(`undefined variable "${text}"`, token);
        return { kind: 'variable', at, name: text, fields: [] };
      case 'field':
        return { kind: 'field', at, fields: [text.slice(1)] };
      case 'bool':
        return { kind: 'bool', at, value: text === 'true' };
      case 'string':
        return { kind: 'string', at, source: text, value: this.#constant(token, () => unquote(text)) };
      case '(':
        return this.#pipeline('parenthesized pipeline', ')');
      case 'keyword':
        return { kind: 'nil', at };
      default:
        return this.#constant(token, numberNode);
    }
  }
}

const quote = (text: Bytes): string =>
  JSON.stringify(text.length > 10 ? `${text.slice(0, 10)}` : text) + (text.length > 10 ? '...' : '');

const isEmpty = (nodes: readonly Node[]): boolean =>
  nodes.every((node) => node.kind === 'text' && node.text.trim() === '');

/**
 * The templates of a source, by name; the main one has the name of its file. `known`: those of other files, which a
 * definition may replace only where one of them is empty. Throws TemplateError with the place.
 */
export function parse(source: Bytes, options: ParseOptions, known: Templates = new Map()): Templates {
  const templates = new Map(known);
  new Parser(source, options, templates).main();
  return templates;
}
