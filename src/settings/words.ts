import { check, type GenericSchema, pipe, string, unknown } from 'valibot';
import { type Address, parseAddress } from '../model/address.ts';
import { parseLabel, parseMetaText } from '../model/instance.ts';
import { didYouMean } from '../model/nearest.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { parsing } from '../model/policy/field.ts';
import { formatDuration, parseDuration, parseWeight, parseWhole } from '../model/quantity.ts';
import type { Choice, Word } from './option.ts';

/** Makes a word of one of the model's parsers, so that a setting and a registry key are judged alike. */
export function word<T>(parse: (text: string) => Parsed<T>): Word<T> {
  return parsing(string(), parse);
}

/** The same for a field of a listed item, which may be a list or a mapping. */
export function fieldWord<T>(parse: (value: unknown) => Parsed<T>): GenericSchema<unknown, T> {
  return parsing(unknown(), parse);
}

/** A duration in ms within bounds. */
export function durationWord(leastMs: number, mostMs: number, parse = parseDuration): Word<number> {
  const bounds = `from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}`;
  return pipe(
    word(parse),
    check(
      (ms) => ms >= leastMs && ms <= mostMs,
      (issue) => `${formatDuration(issue.input)} is not ${bounds}`,
    ),
  );
}

/** A whole number within bounds. */
export const countWord = (least: number, most: number): Word<number> =>
  word((text) => parseWhole(text, { least, most }));

/** One of a few names. */
export const oneOf = <const Names extends readonly string[]>(names: Names): Choice<Names[number]> => ({
  word: word((text) => {
    const name = names.find((candidate) => candidate === text);
    if (name !== undefined) return accepted<Names[number]>(name);
    const hint = didYouMean(text, names);
    return rejected(`${quote(text)} is not one of ${names.join(', ')}${hint === undefined ? '' : ` (${hint})`}`);
  }),
  choices: names,
});

export const onOffWord = oneOf(['on', 'off']);

export const addressWord: Word<Address> = word(parseAddress);

/** A file or folder. */
export const pathWord: Word<string> = word((text) => {
  if (text === '') return rejected('a path is missing');
  return text.includes('\0') ? rejected(`${quote(text)} is not a path`) : accepted(text);
});

/** HAProxy's weights. */
export const weightWord: Word<number> = word(parseWeight);

export const labelWord: Word<string> = word(parseLabel);

/** `name=value` for an instance's meta. */
export const metaWord: Word<readonly [string, string]> = word((text) => {
  const equals = text.indexOf('=');
  if (equals < 1) return rejected(`${quote(text)} is not name=value`);
  const name = parseLabel(text.slice(0, equals));
  if (!name.ok) return name;
  const value = parseMetaText(text.slice(equals + 1));
  return value.ok ? accepted([name.value, value.value]) : rejected(`the value of ${name.value} ${value.reason}`);
});
