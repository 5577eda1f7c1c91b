import * as v from 'valibot';
import { parseDuration } from '../duration.ts';
import { type Parsed, quote } from '../parsed.ts';

/** A schema of text that a parser of the model reads. */
export function parsedText<T>(parse: (text: string) => Parsed<T>) {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const parsed = parse(dataset.value);
      if (parsed.ok) return parsed.value;
      addIssue({ message: parsed.reason });
      return NEVER;
    }),
  );
}

/** A whole number as JSON has it. */
export const whole = (least: number, most: number) =>
  v.pipe(
    v.number(),
    v.check(
      (given) => Number.isInteger(given) && given >= least && given <= most,
      `it is not a whole number from ${least} to ${most}`,
    ),
  );

/** A duration in ms, from 50 ms to an hour. */
export const duration = v.pipe(
  parsedText(parseDuration),
  v.check((ms) => ms >= 50 && ms <= 3_600_000, 'it is not between 50ms and 1h'),
);

/**
 * One clause for what is wrong. Valibot repeats what it received as it is; a message must not. Text is repeated only where
 * one of a few words is expected: anywhere else it may be a password.
 */
export function describeIssue({ kind, type, message, expected, received }: v.BaseIssue<unknown>): string {
  if (kind !== 'schema' || expected === null) return message;
  const oneOf = type === 'picklist' || type === 'literal' || type === 'variant' || type === 'union';
  const text = oneOf ? quote(received.slice(1, -1)) : 'a string';
  const what = received.startsWith('"') ? text : quote(received).slice(1, -1);
  return `expected ${expected}, not ${what}`;
}
