import { createHash } from 'node:crypto';
import { type Bytes, bytesOf, bytesOfRune, runesOf, textOf } from '../../go-template/bytes.ts';
import { quote } from '../../go-template/quote.ts';
import {
  anyType,
  GoError,
  GoFunction,
  GoList,
  GoMap,
  GoStruct,
  type GoValue,
  isTrue,
} from '../../go-template/value.ts';
import { parseAnyJson, writeJson } from './go-json.ts';
import { goRegexp } from './go-regexp.ts';
import { goString, rawTextOf } from './go-string.ts';

const mapType = `map[string]${anyType}`;
const listType = `[]${anyType}`;
/** No template repeats a text to more than this, in bytes. */
const longestText = 100_000_000;

/** A value that says nothing: an empty text, list or map, 0, false or nil. */
const isEmpty = (value: GoValue): boolean => {
  if (value instanceof GoStruct) return [...value.fields.values()].every((field) => isEmpty(field));
  return !isTrue(value);
};

function indent(spaces: GoValue, text: Bytes): Bytes {
  if (text === '') return '';
  const pad = ' '.repeat(Math.min(Math.max(0, Number(spaces)), 10_000));
  return pad + text.replaceAll('\n', `\n${pad}`);
}

function repeat(count: GoValue, text: Bytes): Bytes {
  const times = Math.max(0, Number(count));
  if (times * text.length > longestText) throw new GoError(`a text of more than ${longestText} bytes`);
  return text.repeat(times);
}

const isUpper = (char: string | undefined): boolean => char !== undefined && /^\p{Lu}$/u.test(char);
const isLower = (char: string | undefined): boolean => char !== undefined && /^\p{Ll}$/u.test(char);

/** Words begin at a capital letter, and behind `_`, `-` and spaces: `HTTPServer_name` is HTTP, Server, name. */
function wordsOf(text: Bytes): readonly string[] {
  const chars = [...textOf(text)];
  const words: string[] = [];
  let current = '';
  const end = () => {
    if (current !== '') words.push(current);
    current = '';
  };
  for (const [i, char] of chars.entries()) {
    if (char === '_' || char === '-' || char === ' ') {
      end();
      continue;
    }
    if (isUpper(char) && current !== '' && (isLower(chars[i + 1]) || !isUpper(chars[i - 1]))) end();
    current += char;
  }
  end();
  return words.map((word) => word.toLowerCase());
}

const capitalized = (word: string): string => {
  const [first = '', ...rest] = word;
  return first.toUpperCase() + rest.join('');
};

const spaces = new Set([0x20, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]);
const isSpace = (rune: number): boolean =>
  (rune >= 9 && rune <= 13) || spaces.has(rune) || (rune >= 0x2000 && rune <= 0x200a);

const keysOf = (map: GoValue): readonly Bytes[] => (map instanceof GoMap ? map.sorted().map(([key]) => key) : []);

function pluck(key: Bytes, maps: readonly GoValue[]): GoList {
  const found = maps.flatMap((map) => (map instanceof GoMap && map.entries.has(key) ? [map.entries.get(key)] : []));
  return new GoList(
    anyType,
    found.map((value) => value ?? null),
  );
}

const text = (run: (...args: readonly Bytes[]) => GoValue, count = 1): GoFunction =>
  new GoFunction(
    Array.from({ length: count }, () => 'string'),
    (args) => run(...args.map(String)),
  );

const encrypted = new GoFunction(
  [],
  () => {
    throw new GoError(
      'values are not decrypted: keep the secret out of the registry, or put it there as it is and use getv',
    );
  },
  anyType,
);

/** The functions that the maintained fork of confd adds, and those for encrypted values that old versions had. */
export const forkFunctions: ReadonlyMap<string, GoFunction> = new Map([
  ['default', new GoFunction([anyType, anyType], ([fallback, value]) => (isEmpty(value) ? fallback : value))],
  ['ternary', new GoFunction([anyType, anyType, 'bool'], ([yes, no, condition]) => (condition === true ? yes : no))],
  ['coalesce', new GoFunction([], (values) => values.find((value) => !isEmpty(value)), anyType)],
  ['empty', new GoFunction([anyType], ([value]) => isEmpty(value))],
  ['toJson', new GoFunction([anyType], ([value]) => writeJson(value))],
  ['toPrettyJson', new GoFunction([anyType], ([value]) => writeJson(value, '  '))],
  ['fromJson', text((data = '') => parseAnyJson(data) ?? undefined)],
  ['indent', new GoFunction(['int', 'string'], ([count, of]) => indent(count, String(of)))],
  ['nindent', new GoFunction(['int', 'string'], ([count, of]) => `\n${indent(count, String(of))}`)],
  ['quote', text((of = '') => quote(of))],
  ['squote', text((of = '') => `'${of.replaceAll("'", "''")}'`)],
  ['regexMatch', text((pattern = '', of = '') => goRegexp(rawTextOf(pattern)).matches(rawTextOf(of)), 2)],
  ['regexFind', text((pattern = '', of = '') => goString(goRegexp(rawTextOf(pattern)).find(rawTextOf(of))), 2)],
  [
    'regexReplaceAll',
    text(
      (pattern = '', of = '', by = '') =>
        goString(goRegexp(rawTextOf(pattern)).replaceAll(rawTextOf(of), rawTextOf(by))),
      3,
    ),
  ],
  ['trimPrefix', text((of = '', start = '') => (of.startsWith(start) ? of.slice(start.length) : of), 2)],
  ['repeat', new GoFunction(['int', 'string'], ([count, of]) => repeat(count, String(of)))],
  [
    'nospace',
    text((of = '') =>
      runesOf(of)
        .filter((rune) => !isSpace(rune))
        .map(bytesOfRune)
        .join(''),
    ),
  ],
  ['snakecase', text((of = '') => bytesOf(wordsOf(of).join('_')))],
  ['kebabcase', text((of = '') => bytesOf(wordsOf(of).join('-')))],
  [
    'camelcase',
    text((of = '') =>
      bytesOf(
        wordsOf(of)
          .map((word, i) => (i === 0 ? word : capitalized(word)))
          .join(''),
      ),
    ),
  ],
  [
    'list',
    new GoFunction(
      [],
      (values) =>
        new GoList(
          anyType,
          values.map((value) => value ?? null),
        ),
      anyType,
    ),
  ],
  ['hasKey', new GoFunction([mapType, 'string'], ([map, key]) => map instanceof GoMap && map.entries.has(String(key)))],
  ['keys', new GoFunction([mapType], ([map]) => new GoList('string', [...keysOf(map)]))],
  [
    'values',
    new GoFunction(
      [mapType],
      ([map]) => new GoList(anyType, map instanceof GoMap ? map.sorted().map(([, one]) => one) : []),
    ),
  ],
  [
    'append',
    new GoFunction(
      [listType, anyType],
      ([list, value]) => new GoList(anyType, [...(list instanceof GoList ? list.items : []), value ?? null]),
    ),
  ],
  ['pluck', new GoFunction(['string'], ([key, ...maps]) => pluck(String(key), maps), mapType)],
  ['sha256sum', text((of = '') => createHash('sha256').update(of, 'latin1').digest('hex'))],
  ...['cget', 'cgets', 'cgetv', 'cgetvs'].map((name) => [name, encrypted] as const),
]);
