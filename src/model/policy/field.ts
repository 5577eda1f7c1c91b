import * as v from 'valibot';
import { parseRecord } from '../json.ts';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import { parseDuration } from '../quantity.ts';

/** A schema whose values a parser of the model reads further. */
export function parsing<In, T>(schema: v.GenericSchema<In, In>, parse: (value: In) => Parsed<T>) {
  return v.pipe(
    schema,
    v.rawTransform<In, T>(({ dataset, addIssue, NEVER }) => {
      const parsed = parse(dataset.value);
      if (parsed.ok) return parsed.value;
      addIssue({ message: parsed.reason });
      return NEVER;
    }),
  );
}

/** What the JSON schema for editors says about a value, besides its type. The schema has to accept all that the parser accepts. */
export const inEditors = <In>(jsonSchema: Readonly<Record<string, unknown>>) =>
  v.metadata<In, { jsonSchema: typeof jsonSchema }>({ jsonSchema });

/** A schema of text that a parser of the model reads. */
export const parsedText = <T>(parse: (text: string) => Parsed<T>) => parsing(v.string(), parse);

/** Reads the JSON of an entry by its schema. `what` is the entry with its article, for the reason of a refusal. */
export function parseEntry<T>(
  value: string,
  schema: v.GenericSchema<unknown, T>,
  what: string,
  describe?: (issue: v.BaseIssue<unknown>) => string,
): Parsed<T> {
  const json = parseRecord(value);
  if (!json.ok) return json;
  const result = v.safeParse(schema, Object.fromEntries(json.value), { abortEarly: true });
  return result.success ? accepted(result.output) : rejected(wordIssue(result.issues[0], what, describe));
}

/** A clause for what is wrong, with the field that it is about. */
export function wordIssue(issue: v.BaseIssue<unknown>, what: string, describe = describeIssue): string {
  const where = v.getDotPath(issue) ?? what.replace(/^an? /, '');
  if (issue.type === 'strict_object' && issue.expected === 'never') return `${quote(where)} is not a field of ${what}`;
  return `${where}: ${describe(issue)}`;
}

/** A whole number as JSON has it. */
export const whole = (least: number, most: number) =>
  v.pipe(
    v.number(),
    inEditors({ type: 'integer', minimum: least, maximum: most }),
    v.check(
      (given) => Number.isInteger(given) && given >= least && given <= most,
      `it is not a whole number from ${least} to ${most}`,
    ),
  );

/** The text of a duration, in ms. */
export const durationText = parsing(v.pipe(v.string(), inEditors({ pattern: '^[0-9.]+(ms|s|m|h|d)$' })), parseDuration);

/** A duration in ms, from 50 ms to an hour. */
export const duration = v.pipe(
  durationText,
  v.check((ms) => ms >= 50 && ms <= 3_600_000, 'it is not between 50ms and 1h'),
);

/**
 * One clause for what is wrong. Valibot repeats what it received as it is; a message must not. Text is repeated only where
 * one of a few words is expected: anywhere else it may be a password.
 */
export function describeIssue({ kind, type, message, expected, received }: v.BaseIssue<unknown>): string {
  if (received === 'undefined') return 'it is missing';
  // Valibot's own messages of schemas begin so; others are a parser's.
  if (kind !== 'schema' || expected === null || !message.startsWith('Invalid ')) return message;
  const oneOf = type === 'picklist' || type === 'literal' || type === 'variant' || type === 'union';
  const text = oneOf ? quote(received.slice(1, -1)) : 'a string';
  const what = received.startsWith('"') ? text : (typeNames.get(received) ?? quote(received).slice(1, -1));
  return `expected ${typeNames.get(expected) ?? expected}, not ${what}`;
}

/** The types of JSON, by the names that valibot gives them. */
const typeNames: ReadonlyMap<string, string> = new Map([
  ['Array', 'a list'],
  ['Object', 'an object'],
  ['string', 'a string'],
  ['number', 'a number'],
  ['boolean', 'true or false'],
]);
