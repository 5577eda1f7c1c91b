import type { Bytes } from './bytes.ts';
import { lex, type Token } from './lex.ts';
import { PipelineParser } from './parse-pipeline.ts';
import { isKeyword, TokenReader } from './token-reader.ts';
import type { Definition, Node, Pipeline } from './tree.ts';

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

class Parser {
  readonly #tokens: TokenReader;
  readonly #pipelines: PipelineParser;
  readonly #source: Bytes;
  readonly #file: string;
  readonly #templates: Map<Bytes, Definition>;
  #rangeDepth = 0;

  constructor(source: Bytes, options: ParseOptions, templates: Map<Bytes, Definition>) {
    const { file, isFunction, delimiters: [left, right] = ['{{', '}}'] } = options;
    this.#tokens = new TokenReader(file, source, lex(source, left, right, isFunction));
    this.#pipelines = new PipelineParser(this.#tokens, isFunction);
    this.#source = source;
    this.#file = file;
    this.#templates = templates;
  }

  main(): void {
    const nodes: Node[] = [];
    while (this.#tokens.peek().kind !== 'end of file') {
      if (this.#tokens.peek().kind === 'left') {
        const start = this.#tokens.index;
        this.#tokens.next();
        if (isKeyword(this.#tokens.peekPastSpace(), 'define')) {
          this.#tokens.next();
          this.#define();
          continue;
        }
        this.#tokens.index = start;
      }
      const item = this.#item();
      if ('ends' in item) this.#tokens.fail(`unexpected {{${item.ends.kind}}}`);
      nodes.push(item);
    }
    this.#add(this.#file, nodes);
  }

  #add(name: Bytes, body: readonly Node[]): void {
    const existing = this.#templates.get(name);
    if (existing !== undefined && !isEmpty(existing.body)) {
      if (!isEmpty(body)) this.#tokens.fail(`template: multiple definition of template "${name}"`);
      return;
    }
    this.#templates.set(name, { file: this.#file, source: this.#source, body });
  }

  #define(): void {
    const name = this.#templateName('define clause');
    this.#tokens.expectRight('define clause');
    this.#add(name, this.#separately('define clause'));
  }

  /** The body of a definition: no variable of the outside is seen in it. */
  #separately(context: string): readonly Node[] {
    const rangeDepth = this.#rangeDepth;
    this.#rangeDepth = 0;
    const { nodes, end } = this.#pipelines.separately(() => this.#items());
    if (end.kind !== 'end') this.#tokens.fail(`unexpected {{else}} in ${context}`);
    this.#rangeDepth = rangeDepth;
    return nodes;
  }

  #templateName(context: string): Bytes {
    const token = this.#tokens.nextPastSpace();
    if (token.kind !== 'string') this.#tokens.unexpected(token, context);
    return this.#tokens.string(token);
  }

  #pipeline(context: string): Pipeline {
    return this.#pipelines.pipeline(context, 'right');
  }

  #items(): { readonly nodes: readonly Node[]; readonly end: End } {
    const nodes: Node[] = [];
    while (this.#tokens.peekPastSpace().kind !== 'end of file') {
      const item = this.#item();
      if ('ends' in item) return { nodes, end: item.ends };
      nodes.push(item);
    }
    this.#tokens.fail('unexpected EOF', this.#tokens.peek());
  }

  #item(): Node | { readonly ends: End } {
    const token = this.#tokens.nextPastSpace();
    if (token.kind === 'text') return { kind: 'text', at: token.at, text: token.text };
    if (token.kind !== 'left') this.#tokens.unexpected(token, 'input');
    return this.#action();
  }

  #action(): Node | { readonly ends: End } {
    const token = this.#tokens.peekPastSpace();
    if (token.kind === 'keyword' && token.text !== 'nil') {
      this.#tokens.next();
      return this.#control(token);
    }
    return { kind: 'action', at: token.at, pipeline: this.#pipeline('command') };
  }

  #control(token: Token): Node | { readonly ends: End } {
    const { at, text: word } = token;
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        return this.#branch(word);
      case 'end':
        this.#tokens.expectRight('end');
        return { ends: { kind: 'end' } };
      case 'else':
        return { ends: { kind: 'else', branch: this.#elseThen() } };
      case 'break':
      case 'continue':
        this.#tokens.expectRight(`{{${word}}}`);
        if (this.#rangeDepth === 0) this.#tokens.fail(`{{${word}}} outside {{range}}`, token);
        return { kind: word, at };
      case 'template': {
        const name = this.#templateName('template clause');
        const ends = this.#tokens.peekPastSpace().kind === 'right';
        if (ends) this.#tokens.next();
        return { kind: 'template', at, name, pipeline: ends ? undefined : this.#pipeline('template clause') };
      }
      case 'block': {
        const name = this.#templateName('block clause');
        const pipeline = this.#pipeline('block clause');
        this.#add(name, this.#separately('block clause'));
        return { kind: 'template', at, name, pipeline };
      }
      default:
        return this.#tokens.unexpected(token, 'command');
    }
  }

  /** `{{else if` and `{{else with` go on with another branch; the word is left for it. */
  #elseThen(): 'if' | 'with' | undefined {
    const token = this.#tokens.peekPastSpace();
    if (isKeyword(token, 'if')) return 'if';
    if (isKeyword(token, 'with')) return 'with';
    this.#tokens.expectRight('else');
    return undefined;
  }

  #branch(kind: 'if' | 'with' | 'range'): Node {
    return this.#pipelines.scoped(() => {
      const pipeline = this.#pipeline(kind);
      if (kind === 'range') this.#rangeDepth += 1;
      const { nodes: body, end } = this.#items();
      if (kind === 'range') this.#rangeDepth -= 1;
      const otherwise = end.kind === 'else' ? this.#otherwise(kind, end.branch) : undefined;
      return { kind, at: pipeline.at, pipeline, body, otherwise };
    });
  }

  #otherwise(kind: 'if' | 'with' | 'range', then: 'if' | 'with' | undefined): readonly Node[] {
    if (then !== undefined) {
      const token = this.#tokens.next();
      if (then !== kind) this.#tokens.unexpected(token, 'else');
      return [this.#branch(then)];
    }
    const { nodes, end } = this.#items();
    if (end.kind !== 'end') this.#tokens.fail('expected end; found {{else}}');
    return nodes;
  }
}

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
