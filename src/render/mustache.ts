import Mustache from 'mustache';
import { Fault } from '../model/fault.ts';
import type { Names } from './names.ts';
import type { Place, Quoting } from './quoting.ts';

/** A file with a template's text. */
export type Source = { readonly file: string; readonly text: string };

/** A tag that puts a value into the text. */
export type Tag = {
  readonly name: string;
  /** `file:line:column`. */
  readonly where: string;
  /** Written with three braces, or `&`: it asks to go in unchecked. */
  readonly bare: boolean;
};

export type MustacheOptions = {
  /** What a template may name; anything else in it is a mistake that Mustache would render as nothing. */
  readonly names: Names;
  /** Makes text of a value, or throws a Fault that says why it must not go in. */
  readonly escape: (value: unknown, tag: Tag) => string;
  /** Reads what `{{> name}}` includes; left out where partials are not available. */
  readonly partial?: (name: string) => Source | undefined;
  /** The quotes and comments of the language that is written: a value must not stand in just any place. */
  readonly quoting?: Quoting;
};

export type CompiledMustache = {
  /** All that put a value in, in the order of the text. */
  readonly tags: readonly Tag[];
  /** The template's own text and those of its partials. */
  readonly sources: readonly Source[];
  /** Throws Fault `template` naming `file:line:column` when a value must not go in. */
  readonly render: (view: object) => string;
};

// Of a token: type, name, start, end; then a section's tokens, or a partial's indent, tag index and whether text stands before it.
type Token = readonly [
  type: string,
  name: string,
  start: number,
  end: number,
  inside?: unknown,
  tagIndex?: unknown,
  afterText?: unknown,
];

/** Mustache with everything but the rendering of a value left as it is. */
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
  const tags = new Map<unknown, Tag>();
  const partials = new Map<unknown, readonly Token[]>();
  const sources = new Map<string, Source>();
  const writer = new Writer(
    (token, found) => {
      const tag = tags.get(token);
      if (tag === undefined) throw new Error('a tag that was not there when the template was parsed');
      try {
        return options.escape(found, tag);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        throw new Fault('template', error.message, { hint: error.hint, where: tag.where, cause: error });
      }
    },
    // The types of mustache call every token a list of strings.
    (token) => partials.get(token) as unknown as string[][] | undefined,
  );

  const include = (from: Source, indent: string, including: readonly string[], scopes: readonly Names[], at: Place) => {
    sources.set(from.file, from);
    const inner = indent === '' ? from.text : writer.indentPartial(from.text, indent, false);
    const place = (index: number) => `${from.file}:${position(inner, index, indent.length)}`;
    const tokens = parseTokens(writer, inner, place);
    return { tokens, after: walk(tokens, place, [...including, from.file], scopes, at) };
  };

  const walk = (
    tokens: readonly Token[],
    place: (index: number) => string,
    including: readonly string[],
    scopes: readonly Names[],
    before: Place,
  ): Place => {
    let at = before;
    for (const token of tokens) {
      const [type, name, start] = token;
      const fail = (what: string, hint?: string): never => {
        throw new Fault('template', what, { where: place(start), hint });
      };
      switch (type) {
        case '!':
          break;
        case 'text':
          at = advance(options.quoting, at, name, fail);
          break;
        case '>': {
          const partial = options.partial ?? fail('{{>…}} is not available here');
          const from = partial(name) ?? fail(`there is no partial ${JSON.stringify(name)}`);
          if (including.includes(from.file)) fail(`{{> ${name}}} includes itself`);
          const indent = token[5] === 0 && token[6] !== true && typeof token[4] === 'string' ? token[4] : '';
          const { tokens: inside, after } = include(from, indent, including, scopes, at);
          partials.set(token, inside);
          at = after;
          break;
        }
        case '#':
        case '^': {
          const names = resolve(name, scopes, fail);
          const inside = type === '#' && names.inside !== undefined ? [names.inside, ...scopes] : scopes;
          const after = walk(Array.isArray(token[4]) ? token[4] : [], place, including, inside, at);
          at = join(options.quoting, at, after, fail);
          break;
        }
        case 'name':
        case '&': {
          const names = resolve(name, scopes, fail);
          if (names.notText !== undefined) fail(`{{${name}}} is ${names.notText}`, `write {{#${name}}}…{{/${name}}}`);
          tags.set(token, { name, where: place(start), bare: type === '&' });
          at = afterValue(options.quoting, at, name, fail);
          break;
        }
        default:
          fail(`{{${type}…}} is not available here`);
      }
    }
    return at;
  };

  const { tokens, after } = include(source, '', [], [options.names], options.quoting?.start ?? '');
  const open = options.quoting?.unfinished(after);
  if (open !== undefined) throw new Fault('template', open, { where: source.file });
  return {
    tags: [...tags.values()],
    sources: [...sources.values()],
    render: (view) => writer.renderTokens(tokens as unknown as string[][], new Mustache.Context(view)),
  };
}

type Fail = (what: string, hint?: string) => never;

/** What a name means: the innermost section that knows its first part decides, as it does for Mustache. */
function resolve(name: string, scopes: readonly Names[], fail: Fail): Names {
  if (name === '.') {
    const names = scopes[0];
    return names?.itself ?? fail('{{.}} stands for nothing here');
  }
  const [first = '', ...rest] = name.split('.');
  const scope = scopes.find((one) => one.find(first) !== undefined);
  let names = scope?.find(first);
  for (const part of rest) names = names?.find(part);
  if (names !== undefined) return names;
  const known = [...new Set(scopes.flatMap((one) => one.known))];
  const hint = known.length === 0 ? undefined : `known are ${known.join(', ')}`;
  return fail(`{{${name}}} is not known to this template`, hint);
}

function advance(quoting: Quoting | undefined, at: Place, text: string, fail: Fail): Place {
  if (quoting === undefined) return at;
  const after = quoting.after(at, text);
  return typeof after === 'string' ? after : fail(after.refused, after.hint);
}

function afterValue(quoting: Quoting | undefined, at: Place, name: string, fail: Fail): Place {
  if (quoting === undefined) return at;
  const after = quoting.afterValue(at);
  return typeof after === 'string' ? after : fail(`{{${name}}} ${after.refused}`, after.hint);
}

/** A section is left out, or repeated: what follows has to mean the same then. */
function join(quoting: Quoting | undefined, before: Place, after: Place, fail: Fail): Place {
  if (quoting === undefined || before === after) return before;
  const joined = quoting.either(before, after);
  return typeof joined === 'string' ? joined : fail(joined.refused, joined.hint);
}

function parseTokens(
  writer: InstanceType<typeof Mustache.Writer>,
  text: string,
  place: (index: number) => string,
): readonly Token[] {
  try {
    return writer.parse(text) as unknown as readonly Token[];
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
