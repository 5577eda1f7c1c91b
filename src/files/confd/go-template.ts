import { Fault } from '../../model/fault.ts';
import type { Source } from '../../template/mustache.ts';

/** An expression of Go's text/template. */
export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string }
  /** `.`, `.Value`, `$data.IP`; `variable` is undefined for the dot. */
  | { readonly kind: 'field'; readonly variable: string | undefined; readonly fields: readonly string[] }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

/** What stands between `{{` and `}}`. */
export type Action = {
  /** `file:line:column`. */
  readonly where: string;
  readonly source: string;
  /** `if`, `range`, `with`, `else`, `end`, `define`…; undefined for a value. */
  readonly keyword: string | undefined;
  /** `$a` or `$a, $b` before `:=`. */
  readonly variables: readonly string[];
  readonly expression: Expression | undefined;
};

export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'action'; readonly action: Action };

const keywords = ['if', 'range', 'with', 'else', 'end', 'define', 'template', 'block', 'break', 'continue'];

/** Takes a template of Go apart. Throws Fault `template` naming `file:line:column`. */
export function parseGoTemplate({ file, text }: Source): readonly Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  const addText = (end: number, trimEnd: boolean) => {
    let part = text.slice(at, end);
    if (trimNext) part = part.trimStart();
    if (trimEnd) part = part.trimEnd();
    if (part !== '') pieces.push({ kind: 'text', text: part });
  };
  for (;;) {
    const start = text.indexOf('{{', at);
    if (start === -1) break;
    const where = `${file}:${placeOf(text, start)}`;
    const end = endOfAction(text, start + 2);
    if (end === undefined) throw new Fault('template', 'this {{ is not closed', { where });
    let inside = text.slice(start + 2, end);
    const trimBefore = /^-\s/.test(inside);
    const trimAfter = /\s-$/.test(inside);
    if (trimBefore) inside = inside.slice(1);
    if (trimAfter) inside = inside.slice(0, -1);
    addText(start, trimBefore);
    const comment = /^\s*\/\*([\s\S]*)\*\/\s*$/.exec(inside)?.[1];
    if (comment !== undefined) pieces.push({ kind: 'comment', text: comment.trim() });
    else pieces.push({ kind: 'action', action: parseAction(inside.trim(), where) });
    trimNext = trimAfter;
    at = end + 2;
  }
  addText(text.length, false);
  return pieces;
}

/** Where `}}` begins that is in no string. */
function endOfAction(text: string, start: number): number | undefined {
  if (/^-?\s*\/\*/.test(text.slice(start, start + 10))) {
    const end = text.indexOf('*/', start);
    const close = end === -1 ? -1 : text.indexOf('}}', end);
    return close === -1 ? undefined : close;
  }
  for (let at = start; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"' || char === '`') {
      const end = endOfString(text, at);
      if (end === undefined) return undefined;
      at = end;
    } else if (text.startsWith('}}', at)) return at;
  }
  return undefined;
}

/** The index of the quote that closes the string which opens at `start`. */
function endOfString(text: string, start: number): number | undefined {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === quote) return at;
    if (quote === '"' && text[at] === '\\') at += 1;
  }
  return undefined;
}

type Token =
  | { readonly kind: 'name' | 'field' | 'number' | 'mark'; readonly text: string }
  | { readonly kind: 'string'; readonly text: string };

function parseAction(source: string, where: string): Action {
  const tokens = tokensOf(source, where);
  const [first] = tokens;
  const keyword = first?.kind === 'name' && keywords.includes(first.text) ? first.text : undefined;
  const rest = keyword === undefined ? tokens : tokens.slice(1);
  // `else if …` and `else with …` are read as the keyword `else` and the rest as it stands.
  if (keyword === 'else' && rest[0]?.kind === 'name') {
    const inner = parseAction(source.replace(/^else\s+/, ''), where);
    return { ...inner, source, keyword: `else ${inner.keyword ?? ''}` };
  }
  if (keyword === 'define' || keyword === 'template' || keyword === 'block') {
    return { where, source, keyword, variables: [], expression: undefined };
  }
  const assignment = rest.findIndex(({ kind, text }) => kind === 'mark' && (text === ':=' || text === '='));
  const variables = rest.slice(0, Math.max(assignment, 0)).filter(({ text }) => text !== ',');
  const parser = new Parser(rest.slice(assignment + 1), source, where);
  return { where, source, keyword, variables: variables.map(({ text }) => text), expression: parser.whole() };
}

const tokenPattern = /\s*(?:([A-Za-z_]\w*)|(\$?(?:\.?\w+|\.)(?:\.\w+)*|\$)|(:=|[=|(),]))/y;

function tokensOf(source: string, where: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = 0; source.slice(at).trim() !== ''; ) {
    at += /^\s*/.exec(source.slice(at))?.[0].length ?? 0;
    const char = source[at];
    if (char === '"' || char === '`') {
      const end = endOfString(source, at) ?? source.length;
      const raw = source.slice(at, end + 1);
      tokens.push({ kind: 'string', text: char === '`' ? raw.slice(1, -1) : unquoted(raw, where) });
      at = end + 1;
      continue;
    }
    tokenPattern.lastIndex = at;
    const [, name, field, mark] = tokenPattern.exec(source) ?? [];
    if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (field !== undefined) tokens.push({ kind: /^[0-9]/.test(field) ? 'number' : 'field', text: field });
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark });
    else throw new Fault('template', `{{${source}}} cannot be read at ${JSON.stringify(source.slice(at))}`, { where });
    at = tokenPattern.lastIndex;
  }
  return tokens;
}

// The escapes that Go and JSON have in common are those that are used.
function unquoted(raw: string, where: string): string {
  try {
    const value: unknown = JSON.parse(raw);
    if (typeof value === 'string') return value;
  } catch {
    // Told below.
  }
  throw new Fault('template', `the string ${raw} cannot be read`, { where });
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #source: string;
  readonly #where: string;
  #at = 0;

  constructor(tokens: readonly Token[], source: string, where: string) {
    this.#tokens = tokens;
    this.#source = source;
    this.#where = where;
  }

  whole(): Expression | undefined {
    if (this.#tokens.length === 0) return undefined;
    const expression = this.#pipeline();
    if (this.#at < this.#tokens.length) this.#fail();
    return expression;
  }

  #pipeline(): Expression {
    let expression = this.#command();
    while (this.#isMark('|')) {
      this.#at += 1;
      const next = this.#command();
      if (next.kind !== 'call') return this.#fail();
      expression = { ...next, args: [...next.args, expression] };
    }
    return expression;
  }

  #command(): Expression {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'name' || token.text === 'true' || token.text === 'false') return this.#operand();
    this.#at += 1;
    const args: Expression[] = [];
    while (this.#at < this.#tokens.length && !this.#isMark('|') && !this.#isMark(')')) args.push(this.#operand());
    return { kind: 'call', name: token.text, args };
  }

  #operand(): Expression {
    const token = this.#tokens[this.#at];
    this.#at += 1;
    if (token === undefined) return this.#fail();
    switch (token.kind) {
      case 'string':
        return { kind: 'text', text: token.text };
      case 'number':
        return { kind: 'number', text: token.text };
      case 'field': {
        const [head = '', ...fields] = token.text.split('.');
        return {
          kind: 'field',
          variable: head === '' ? undefined : head,
          fields: fields.filter((name) => name !== ''),
        };
      }
      case 'name':
        return { kind: 'call', name: token.text, args: [] };
      case 'mark': {
        if (token.text !== '(') return this.#fail();
        const inner = this.#pipeline();
        if (!this.#isMark(')')) return this.#fail();
        this.#at += 1;
        return inner;
      }
    }
  }

  #isMark(text: string): boolean {
    const token = this.#tokens[this.#at];
    return token?.kind === 'mark' && token.text === text;
  }

  #fail(): never {
    throw new Fault('template', `{{${this.#source}}} cannot be read`, { where: this.#where });
  }
}

function placeOf(text: string, index: number): string {
  const before = text.slice(0, index);
  return `${before.split('\n').length}:${index - before.lastIndexOf('\n')}`;
}
