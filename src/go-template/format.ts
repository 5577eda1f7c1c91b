import { type Bytes, bytesOf } from './bytes.ts';
import { bare, type Format, pad, type Verb } from './format-flags.ts';
import { ofComplex, ofFloat, ofInteger } from './format-number.ts';
import { ofString } from './format-string.ts';
import {
  GoComplex,
  GoFunction,
  GoList,
  GoMap,
  GoStruct,
  type GoValue,
  integerOf,
  isUnsigned,
  typeOf,
} from './value.ts';

function ofList({ items, type }: GoList, verb: string, format: Format): Bytes {
  const goSyntax = verb === 'v' && format.sharp;
  const shown = items.map((item) => formatInner(item, verb, format));
  return goSyntax ? `${type}{${shown.join(', ')}}` : `[${shown.join(' ')}]`;
}

function ofMap(map: GoMap, verb: string, format: Format): Bytes {
  const goSyntax = verb === 'v' && format.sharp;
  const shown = map
    .sorted()
    .map(([key, value]) => `${formatValue(key, verb, format)}:${formatInner(value, verb, format)}`);
  return goSyntax ? `${map.type}{${shown.join(', ')}}` : `map[${shown.join(' ')}]`;
}

function ofStruct(struct: GoStruct, verb: string, format: Format): Bytes {
  const goSyntax = verb === 'v' && format.sharp;
  if (struct.text !== undefined && !goSyntax) {
    const text = ofString(struct.text(), verb, format);
    if (text !== undefined) return text;
  }
  const names = verb === 'v' && (format.plus || format.sharp);
  const shown = [...struct.fields].map(
    ([name, value]) => `${names ? `${name}:` : ''}${formatInner(value, verb, format)}`,
  );
  return goSyntax ? `${struct.type}{${shown.join(', ')}}` : `{${shown.join(' ')}}`;
}

/** A value by a verb, or undefined where it does not fit. */
function tryFormat(value: GoValue, verb: string, format: Format): Verb {
  if (verb === 'T') return pad(bytesOf(typeOf(value)), format);
  if (value === undefined || value === null) return verb === 'v' ? pad('<nil>', format) : undefined;
  if (value instanceof GoList) return ofList(value, verb, format);
  if (value instanceof GoMap) return ofMap(value, verb, format);
  if (value instanceof GoStruct) return ofStruct(value, verb, format);
  // `%+v` names fields, and is no sign.
  const signed = verb === 'v' ? { ...format, plus: false } : format;
  if (value instanceof GoComplex) return ofComplex(value, verb, signed);
  if (value instanceof GoFunction) return undefined;
  if (typeof value === 'string') return ofString(value, verb, format);
  if (typeof value === 'number') return ofFloat(value, verb, signed);
  if (typeof value === 'boolean') return verb === 't' || verb === 'v' ? pad(String(value), format) : undefined;
  return ofInteger(integerOf(value) ?? 0n, verb, signed, isUnsigned(value));
}

/** A value by a verb, or what Go prints of one that the verb does not fit. */
export function formatValue(value: GoValue, verb: string, format: Format): Bytes {
  const text = tryFormat(value, verb, format);
  if (text !== undefined) return text;
  if (value === undefined || value === null) return `%!${verb}(<nil>)`;
  return `%!${verb}(${typeOf(value)}=${tryFormat(value, 'v', { ...format, sharp: false, plus: false }) ?? ''})`;
}

/** A value within a list, a map or a struct: a nil is the same for each verb, and no width counts. */
function formatInner(value: GoValue, verb: string, format: Format): Bytes {
  if (value !== undefined && value !== null) return formatValue(value, verb, format);
  return verb === 'v' && format.sharp ? 'interface {}(nil)' : '<nil>';
}

/** A value as an action prints it. */
export const printed = (value: GoValue): Bytes =>
  typeof value === 'string' ? value : value === undefined ? '<no value>' : formatValue(value, 'v', bare);

/** As fmt.Sprint: a space between two values of which none is a string. */
export function sprint(values: readonly GoValue[]): Bytes {
  let out = '';
  for (const [i, value] of values.entries()) {
    if (i > 0 && typeof value !== 'string' && typeof values[i - 1] !== 'string') out += ' ';
    out += formatValue(value, 'v', bare);
  }
  return out;
}

/** As fmt.Sprintln. */
export const sprintln = (values: readonly GoValue[]): Bytes =>
  `${values.map((value) => formatValue(value, 'v', bare)).join(' ')}\n`;
