import type { TokenKind } from './lex.ts';
import { isKeyword, type TokenReader } from './token-reader.ts';
import { type Command, type Operand, type Pipeline, show } from './tree.ts';

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

/** Parses pipelines, and knows the variables that they can use. */
export class PipelineParser {
  readonly #tokens: TokenReader;
  readonly #isFunction: (name: string) => boolean;
  #variables: string[] = ['$'];

  constructor(tokens: TokenReader, isFunction: (name: string) => boolean) {
    this.#tokens = tokens;
    this.#isFunction = isFunction;
  }

  /** Variables that are declared inside are gone afterwards. */
  scoped<T>(parse: () => T): T {
    const visible = this.#variables.length;
    const parsed = parse();
    this.#variables.length = visible;
    return parsed;
  }

  /** No variable of the outside is seen inside. */
  separately<T>(parse: () => T): T {
    const outside = this.#variables;
    this.#variables = ['$'];
    const parsed = parse();
    this.#variables = outside;
    return parsed;
  }

  pipeline(context: string, end: 'right' | ')'): Pipeline {
    const { at } = this.#tokens.peekPastSpace();
    const { variables, assigns } = this.#declarations(context);
    const commands: Command[] = [];
    for (;;) {
      const token = this.#tokens.peekPastSpace();
      if (token.kind === end) break;
      if (!operandKinds.has(token.kind) && !isKeyword(token, 'nil'))
        this.#tokens.unexpected(this.#tokens.next(), context);
      commands.push(this.#command());
    }
    this.#tokens.next();
    if (commands.length === 0) this.#tokens.fail(`missing value for ${context}`);
    for (const [i, { operands }] of commands.entries()) {
      const { kind } = operands[0];
      const constant = kind === 'bool' || kind === 'dot' || kind === 'nil' || kind === 'number' || kind === 'string';
      if (i > 0 && constant) this.#tokens.fail(`non executable command in pipeline stage ${i + 1}`);
    }
    return { kind: 'pipeline', at, variables, assigns, commands };
  }

  #declarations(context: string): { readonly variables: readonly string[]; readonly assigns: boolean } {
    const variables: string[] = [];
    while (this.#tokens.peekPastSpace().kind === 'variable') {
      const start = this.#tokens.index;
      const name = this.#tokens.next().text;
      const sign = this.#tokens.nextPastSpace();
      if (sign.kind === 'assign' || sign.kind === 'declare') {
        this.#variables.push(name);
        return { variables: [...variables, name], assigns: sign.kind === 'assign' };
      }
      if (sign.kind !== 'char' || sign.text !== ',') {
        this.#tokens.index = start;
        break;
      }
      if (context !== 'range' || variables.length > 0) this.#tokens.fail(`too many declarations in ${context}`);
      variables.push(name);
      this.#variables.push(name);
      const { kind } = this.#tokens.peekPastSpace();
      if (kind !== 'variable' && kind !== 'right' && kind !== ')')
        this.#tokens.fail('range can only initialize variables');
    }
    return { variables, assigns: false };
  }

  #command(): Command {
    const { at } = this.#tokens.peekPastSpace();
    const operands: Operand[] = [];
    for (;;) {
      this.#tokens.peekPastSpace();
      const operand = this.#operand();
      if (operand !== undefined) operands.push(operand);
      const token = this.#tokens.peek();
      if (token.kind === 'space' || token.kind === 'pipe') this.#tokens.next();
      if (token.kind === 'space') continue;
      if (token.kind === 'pipe' || token.kind === 'right' || token.kind === ')') break;
      this.#tokens.unexpected(this.#tokens.next(), 'operand');
    }
    const [first, ...others] = operands;
    if (first === undefined) this.#tokens.fail('empty command');
    return { at, operands: [first, ...others] };
  }

  #operand(): Operand | undefined {
    const term = this.#term();
    if (term === undefined || this.#tokens.peek().kind !== 'field') return term;
    const { at } = this.#tokens.peek();
    const fields: string[] = [];
    while (this.#tokens.peek().kind === 'field') fields.push(this.#tokens.next().text.slice(1));
    switch (term.kind) {
      case 'field':
      case 'variable':
        return { ...term, at, fields: [...term.fields, ...fields] };
      case 'identifier':
      case 'pipeline':
      case 'chain':
        return { kind: 'chain', at, of: term, fields };
      default:
        return this.#tokens.fail(`unexpected . after term "${show(term)}"`);
    }
  }

  #term(): Operand | undefined {
    const token = this.#tokens.peekPastSpace();
    const { at, text } = token;
    if (!operandKinds.has(token.kind) && !isKeyword(token, 'nil')) return undefined;
    this.#tokens.next();
    switch (token.kind) {
      case 'identifier':
        if (!this.#isFunction(text)) this.#tokens.fail(`function "${text}" not defined`, token);
        return { kind: 'identifier', at, name: text };
      case 'dot':
        return { kind: 'dot', at };
      case 'variable':
        if (!this.#variables.includes(text)) this.#tokens.fail(`undefined variable "${text}"`, token);
        return { kind: 'variable', at, name: text, fields: [] };
      case 'field':
        return { kind: 'field', at, fields: [text.slice(1)] };
      case 'bool':
        return { kind: 'bool', at, value: text === 'true' };
      case 'string':
        return { kind: 'string', at, source: text, value: this.#tokens.string(token) };
      case '(':
        return this.pipeline('parenthesized pipeline', ')');
      case 'keyword':
        return { kind: 'nil', at };
      default:
        return this.#tokens.number(token);
    }
  }
}
