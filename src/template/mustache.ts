import Mustache from 'mustache';
import { Fault } from '../model/fault.ts';
import type { TemplateNames } from './names.ts';
import { type Fail, nothingToFollow, type Trail } from './quoting.ts';

/** A file with a template's text. */
export type Source = { readonly file: string; readonly text: string };

/** A tag that puts a value into the text. */
export type Tag = {
  readonly name: string;
  /** `file:line:column`. */
  readonly where: string;
  /** Written with three braces, or `&`: it asks to go in unchecked. */
  readonly bare: boolean;
  /** A missing value is an error, not an empty text. */
  readonly required: boolean;
  /** The form of the value at its place, where the written language has several. */
  readonly form: string | undefined;
};

export type MustacheOptions = {
  /** The names that a template may use. Mustache renders any other name as nothing, so it is refused. */
  readonly names: TemplateNames;
  /** Makes text of a value, or throws a Fault that says why it must not go in. */
  readonly escape: (value: unknown, tag: Tag) => string;
  /** The source that `{{> name}}` includes, or why it cannot be included. Undefined: templates have no partials. */
  readonly partial?: (name: string) => Source | { readonly reason: string };
  /** Begins to follow the quotes and comments of the written language, which decide where a value may be. */
  readonly trail?: () => Trail;
};

export type CompiledMustache = {
  /** The tags that put a value in, in the order of the text. */
  readonly tags: readonly Tag[];
  /** The outermost names that it uses. */
  readonly roots: ReadonlySet<string>;
  /** Throws Fault `template` naming `file:line:column` when a value must not go in. */
  readonly render: (view: object) => string;
};

// Of a token: type, name, start, end; then a section's tokens, or a partial's indent, tag index and whether text comes before it.
type MustacheToken = readonly [
  type: string,
  name: string,
  start: number,
  end: number,
  inside?: unknown,
  tagIndex?: unknown,
  afterText?: unknown,
];

/** Mustache, but `value` makes the text of each tag, and `partial` gives the tokens of each partial. */
class Writer extends Mustache.Writer {
  readonly #value: (token: unknown, found: unknown) => string;
  readonly #partial: (token: unknown) => string[][] | undefined;

  constructor(value: (token: unknown, found: unknown) => string, partial: (token: unknown) => string[][] | undefined) {
    super();
    this.#value = value;
    this.#partial = partial;
  }

  override escapedValue(token: string[], context: Mustache.Context): string {
    return this.#value(token, context.lookup(token[1] ?? ''));
  }

  override unescapedValue(token: string[], context: Mustache.Context): string {
    return this.#value(token, context.lookup(token[1] ?? ''));
  }

  override renderPartial(token: string[], context: Mustache.Context): string {
    const tokens = this.#partial(token);
    return tokens === undefined ? '' : this.renderTokens(tokens, context);
  }
}

/** Parses a template and all that it includes. Throws Fault `template` naming `file:line:column`. */
export function compileMustache(source: Source, options: MustacheOptions): CompiledMustache {
  const { tags, partials, roots, whole } = new Compilation(options).compile(source);
  const value = (token: unknown, found: unknown): string => {
    const tag = tags.get(token);
    if (tag === undefined) throw new Error('a tag that was not there when the template was parsed');
    try {
      return options.escape(found, tag);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw new Fault('template', error.message, { hint: error.hint, where: tag.where, cause: error });
    }
  };
  const partial = (token: unknown) => {
    const found = partials.get(token);
    return found === undefined ? undefined : asMustache(found);
  };
  const writer = new Writer(value, partial);
  return {
    tags: [...tags.values()],
    roots,
    render: (view) => writer.renderTokens(asMustache(whole), new Mustache.Context(view)),
  };
}

/** Walks through a template and its partials: finds their tags, and refuses mistakes. */
class Compilation {
  readonly #tags = new Map<unknown, Tag>();
  readonly #partials = new Map<unknown, ParsedSource>();
  readonly #roots = new Set<string>();
  readonly #options: MustacheOptions;
  readonly #trail: Trail;
  readonly #parser = new Mustache.Writer();

  constructor(options: MustacheOptions) {
    this.#options = options;
    this.#trail = options.trail?.() ?? nothingToFollow;
  }

  compile(source: Source) {
    const whole = this.#parse(source, '');
    this.#walk(whole, [source.file], [this.#options.names]);
    this.#trail.end((what, hint) => {
      throw new Fault('template', what, { where: whole.place(source.text.length), hint });
    });
    return { tags: this.#tags, partials: this.#partials, roots: this.#roots, whole };
  }

  #parse({ file, text }: Source, indent: string): ParsedSource {
    const indented = indent === '' ? text : this.#parser.indentPartial(text, indent, false);
    const place = (index: number) => `${file}:${position(indented, index, indent.length)}`;
    return { tokens: parseTokens(this.#parser, indented, place), place };
  }

  #walk({ tokens, place }: ParsedSource, including: readonly string[], scopes: readonly TemplateNames[]): void {
    for (const token of tokens) {
      const [type, name, start] = token;
      const fail: Fail = (what, hint, offset = 0) => {
        throw new Fault('template', what, { where: place(start + offset), hint });
      };
      switch (type) {
        case '!':
          break;
        case 'text':
          this.#trail.text(name, fail);
          break;
        case '>':
          this.#include(token, including, scopes, fail);
          break;
        case '#':
        case '^': {
          const names = resolve(name, scopes, this.#roots, fail);
          const inner = type === '#' && names.inside !== undefined ? [names.inside, ...scopes] : scopes;
          const inside = { tokens: Array.isArray(token[4]) ? token[4] : [], place };
          this.#trail.section(() => this.#walk(inside, including, inner), fail);
          break;
        }
        case 'name':
        case '&': {
          const names = resolve(name, scopes, this.#roots, fail);
          if (names.notText !== undefined) fail(`{{${name}}} is ${names.notText}`, `write {{#${name}}}…{{/${name}}}`);
          const form = this.#trail.value(name, fail);
          const required = names.required === true;
          this.#tags.set(token, { name, where: place(start), bare: type === '&', required, form });
          break;
        }
        default:
          fail(`{{${type}…}} is not available here`);
      }
    }
  }

  #include(token: MustacheToken, including: readonly string[], scopes: readonly TemplateNames[], fail: Fail): void {
    const name = token[1];
    const find = this.#options.partial ?? fail('{{>…}} is not available here');
    const found = find(name);
    const source = 'reason' in found ? fail(`{{> ${name}}} cannot be included: ${found.reason}`) : found;
    if (including.includes(source.file)) fail(`{{> ${name}}} includes itself`);
    const partial = this.#partials.get(token) ?? this.#parse(source, indentOf(token));
    this.#partials.set(token, partial);
    this.#walk(partial, [...including, source.file], scopes);
  }
}

/** The names of the partials that this text includes itself. Throws Fault `template`. */
export function includedPartials({ file, text }: Source): ReadonlySet<string> {
  const names = new Set<string>();
  const collect = (tokens: readonly MustacheToken[]): void => {
    for (const [type, name, , , inside] of tokens) {
      if (type === '>') names.add(name);
      else if (Array.isArray(inside)) collect(inside);
    }
  };
  collect(parseTokens(new Mustache.Writer(), text, (index) => `${file}:${position(text, index, 0)}`));
  return names;
}

/** Part of a template, and the way from an index in it to a place in its file. */
type ParsedSource = { readonly tokens: readonly MustacheToken[]; readonly place: (index: number) => string };

// The types of mustache call every token a list of strings.
const asMustache = ({ tokens }: ParsedSource) => tokens as unknown as string[][];

/** The indent of a partial that is alone on its line. */
function indentOf([, , , , indent, tagIndex, afterText]: MustacheToken): string {
  return tagIndex === 0 && afterText !== true && typeof indent === 'string' ? indent : '';
}

/** Looks a name up: the innermost section that knows its first part decides, as in Mustache. */
function resolve(name: string, scopes: readonly TemplateNames[], roots: Set<string>, fail: Fail): TemplateNames {
  if (name === '.') {
    const names = scopes[0];
    return names?.itself ?? fail('{{.}} has no value here');
  }
  const [first = '', ...rest] = name.split('.');
  const scope = scopes.find((one) => one.find(first) !== undefined);
  // A name within a tree of keys may be a key of that tree or a name further out. That depends on the values.
  if (scopes.at(-1)?.find(first) !== undefined) roots.add(first);
  let names = scope?.find(first);
  for (const part of rest) names = names?.find(part);
  if (names !== undefined) return names;
  const known = [...new Set(scopes.flatMap((one) => one.known))];
  const hint = known.length === 0 ? undefined : `known names: ${known.join(', ')}`;
  return fail(`{{${name}}} is not known to this template`, hint);
}

function parseTokens(
  writer: InstanceType<typeof Mustache.Writer>,
  text: string,
  place: (index: number) => string,
): readonly MustacheToken[] {
  try {
    return writer.parse(text) as unknown as readonly MustacheToken[];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Mustache ends its messages with the character's index: "Unclosed section \"a\" at 17".
    const at = / at (\d+)$/.exec(message);
    throw new Fault('template', message.replace(/ at \d+$/, ''), { where: place(Number(at?.[1] ?? 0)), cause: error });
  }
}

function position(text: string, index: number, indent: number): string {
  const before = text.slice(0, index);
  const column = index - before.lastIndexOf('\n') - indent;
  return `${before.split('\n').length}:${Math.max(1, column)}`;
}
