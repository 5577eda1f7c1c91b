import { jsonSchemaOf } from '../declarations/schema/from-valibot.ts';
import type { JsonSchema } from '../declarations/schema/json-schema.ts';
import { didYouMean } from '../model/nearest.ts';

/** `did you mean hosts?` for a field at a path that the schema of a parser does not have. */
export function fieldHint(schema: unknown, path: readonly string[]): string | undefined {
  const word = path.at(-1) ?? '';
  const fields = namesAt(
    jsonSchemaOf(schema, () => undefined, []),
    path.slice(0, -1),
  );
  // A field with just this name belongs to another kind.
  return fields.includes(word) ? undefined : didYouMean(word, fields);
}

function namesAt(schema: JsonSchema, [step, ...rest]: readonly string[]): readonly string[] {
  const some = [schema, ...partsOf(schema['anyOf'])];
  if (step === undefined) return some.flatMap(({ properties = {} }) => Object.keys(properties));
  return some.flatMap((one) => {
    const below = one.properties?.[step] ?? (/^\d+$/.test(step) ? one['items'] : undefined);
    return below === undefined ? [] : namesAt(below as JsonSchema, rest);
  });
}

const partsOf = (anyOf: unknown): readonly JsonSchema[] => (Array.isArray(anyOf) ? anyOf : []);
