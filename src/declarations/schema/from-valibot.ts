import type { Describe, JsonSchema } from './json-schema.ts';

/** The parts of a valibot schema that are read here; each kind has some of them. */
type Piece = {
  readonly kind: string;
  readonly type: string;
  readonly pipe?: readonly Piece[];
  readonly entries?: Readonly<Record<string, Piece>>;
  readonly wrapped?: Piece;
  readonly default?: unknown;
  readonly item?: Piece;
  readonly value?: Piece;
  readonly key?: string | Piece;
  readonly options?: readonly (Piece | string)[];
  readonly literal?: unknown;
  readonly getter?: (input: unknown) => Piece;
  readonly requirement?: unknown;
  readonly metadata?: { readonly jsonSchema?: JsonSchema };
};

/**
 * Makes a JSON schema of the valibot schema that a parser uses, so that an editor accepts whatever the parser accepts. Checks in code
 * are left out, unless the schema has `v.metadata({ jsonSchema })` for them. Each field of an object gets the text that `describe`
 * finds; `missing` takes the paths of the fields without one.
 */
export function jsonSchemaOf(schema: unknown, describe: Describe, missing: string[]): JsonSchema {
  return schemaOf(schema as Piece, []);

  function schemaOf(piece: Piece, path: readonly string[]): JsonSchema {
    const own = base(piece, path);
    const constraints: JsonSchema[] = [];
    // Whatever comes after a transformation is about its result, and not about what a person writes.
    for (const action of piece.pipe?.slice(1) ?? []) {
      if (action.kind === 'transformation' || action.kind === 'schema') break;
      constraints.push(constraintOf(action, own));
    }
    return Object.assign({}, own, ...constraints);
  }

  function base(piece: Piece, path: readonly string[]): JsonSchema {
    const [first] = piece.pipe ?? [];
    if (first !== undefined && first !== piece) return schemaOf(first, path);
    switch (piece.type) {
      case 'string':
      case 'number':
      case 'boolean':
        return { type: piece.type };
      case 'literal':
        return { const: piece.literal };
      case 'picklist':
        return { enum: piece.options };
      case 'array':
        return { type: 'array', items: schemaOf(need(piece.item), path) };
      case 'record':
        return { type: 'object', additionalProperties: schemaOf(need(piece.value), path) };
      case 'optional': {
        const inner = schemaOf(need(piece.wrapped), path);
        const fallback = piece.default;
        return typeof fallback === 'function' || fallback === undefined ? inner : { ...inner, default: fallback };
      }
      case 'strict_object':
        return objectOf(piece, path);
      case 'variant':
        return variantOf(piece, path);
      case 'union':
        return { anyOf: (piece.options ?? []).map((option) => schemaOf(option as Piece, path)) };
      case 'lazy': {
        // A lazy schema of ours chooses by the type of what is given.
        const some = ['', {}, [], true, 0].map(need(piece.getter));
        const all = [...new Set(some)].map((option) => schemaOf(option, path));
        return all.length === 1 ? (all[0] ?? {}) : { anyOf: all };
      }
      default:
        throw new Error(
          `${path.join('.')}: no JSON schema is known for valibot's ${piece.type}; add it to from-valibot.ts`,
        );
    }
  }

  function objectOf({ entries = {} }: Piece, path: readonly string[]): JsonSchema {
    const fields = Object.entries(entries);
    const required = fields.filter(([, { type }]) => type !== 'optional').map(([name]) => name);
    return {
      type: 'object',
      properties: Object.fromEntries(fields.map(([name, piece]) => [name, fieldOf(piece, [...path, name])])),
      ...(required.length === 0 ? {} : { required }),
      additionalProperties: false,
    };
  }

  function fieldOf(piece: Piece, path: readonly string[]): JsonSchema {
    const text = describe(path);
    if (text === undefined) missing.push(path.join('.'));
    return { ...text, ...schemaOf(piece, path) };
  }

  /** Objects that a field tells apart. Their fields together are known to editors; which of them a kind has, the conditions say. */
  function variantOf({ key, options = [] }: Piece, path: readonly string[]): JsonSchema {
    const name = String(key);
    const kinds = options.map((option) => objectOf(option as Piece, path));
    const kindsOf = kinds.map(({ properties = {} }) => properties[name]?.['const']);
    const text = kinds[0]?.properties?.[name];
    return {
      type: 'object',
      properties: {
        ...Object.assign({}, ...kinds.map(({ properties }) => properties)),
        [name]: { ...text, const: undefined, enum: kindsOf },
      },
      required: [name],
      additionalProperties: false,
      allOf: kinds.map(({ properties = {}, required }, index) => ({
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: { propertyNames: { enum: Object.keys(properties) }, required },
        if: { properties: { [name]: { const: kindsOf[index] } }, required: [name] },
      })),
    };
  }
}

function constraintOf({ type, requirement, metadata }: Piece, { type: of }: JsonSchema): JsonSchema {
  switch (type) {
    case 'metadata':
      return metadata?.jsonSchema ?? {};
    case 'min_length':
      return { [of === 'array' ? 'minItems' : 'minLength']: requirement };
    case 'max_length':
      return { [of === 'array' ? 'maxItems' : 'maxLength']: requirement };
    case 'min_value':
      return { minimum: requirement };
    case 'max_value':
      return { maximum: requirement };
    default:
      return {};
  }
}

function need<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('a valibot schema lacks a part that its kind has');
  return part;
}
