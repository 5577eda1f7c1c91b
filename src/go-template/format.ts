import { type Bytes, bytesOf } from './bytes.ts';
import { bare, type Format, pad, type Verb } from './format-flags.ts';
import { ofComplex, ofFloat, ofInteger } from './format-number.ts';
import { ofString } from './format-string.ts';
import {
  bytesOfList,
  GoComplex,
  GoFunction,
  GoInteger,
  GoList,
  GoMap,
  GoStruct,
  type GoValue,
  integerOf,
  isUnsigned,
  typeOf,
} from './value.ts';

/** How a value is printed. `isBad`: for an error about its verb, without its methods. */
type How = { readonly verb: string; readonly format: Format; readonly isBad: boolean; readonly isTop?: boolean };

function ofList(list: GoList, how: How): Bytes {
  const { verb, format } = how;
  const bytes = /^[sqxX]$/.test(verb) ? bytesOfList(list) : undefined;
  if (bytes !== undefined) return ofString(bytes, verb, format) ?? '';
  const type = list.type === '[]uint8' ? '[]byte' : list.type;
  if (format.sharpV && list.isNil) return `${type}(nil)`;
  const shown = list.items.map((item) => inner(item, how));
  return format.sharpV ? `${type}{${shown.join(', ')}}` : `[${shown.join(' ')}]`;
}

function ofMap(map: GoMap, how: How): Bytes {
  const { sharpV } = how.format;
  if (sharpV && map.isNil) return `${map.type}(nil)`;
  const shown = map.sorted().map(([key, value]) => `${inner(key, how)}:${inner(value, how)}`);
  return sharpV ? `${map.type}{${shown.join(', ')}}` : `map[${shown.join(' ')}]`;
}

function ofStruct({ type, fields }: GoStruct, how: How): Bytes {
  const { sharpV, plusV } = how.format;
  const shown = [...fields].map(([name, value]) => `${plusV || sharpV ? `${name}:` : ''}${inner(value, how)}`);
  return sharpV ? `${type}{${shown.join(', ')}}` : `{${shown.join(' ')}}`;
}

/** What a method of the value prints; undefined where none is asked. */
function ofMethod(value: GoValue, { verb, format, isBad }: How): Verb {
  if (isBad || !(value instanceof GoStruct || value instanceof GoInteger)) return undefined;
  if (format.sharpV) return value.goText === undefined ? undefined : ofString(value.goText(), 's', format);
  return value.text !== undefined && /^[vsxXq]$/.test(verb) ? ofString(value.text(), verb, format) : undefined;
}

/** `%p`: where a list or a map is in memory. It is the same address for all, as Go's differ at each run. */
function pointer(value: GoValue, format: Format): Verb {
  if (!(value instanceof GoList || value instanceof GoMap)) return undefined;
  return ofInteger(value.isNil ? 0n : 0xc000000000n, 'x', { ...format, sharp: !format.sharp }, true);
}

/** A value by a verb, or undefined where it does not fit. */
function tryFormat(value: Exclude<GoValue, undefined | null>, how: How): Verb {
  const { verb, format, isTop = false } = how;
  // For errors of Go only.
  if (verb === 'w') return undefined;
  if (verb === 'p' && isTop) return pointer(value, format);
  const own = ofMethod(value, how);
  if (own !== undefined) return own;
  if (value instanceof GoList) return ofList(value, how);
  if (value instanceof GoMap) return ofMap(value, how);
  if (value instanceof GoStruct) return ofStruct(value, how);
  if (value instanceof GoComplex) return ofComplex(value, verb, format);
  if (value instanceof GoFunction) return undefined;
  if (typeof value === 'string') return ofString(value, verb, format);
  if (typeof value === 'number') return ofFloat(value, verb, format);
  if (typeof value === 'boolean') return verb === 't' || verb === 'v' ? pad(String(value), format) : undefined;
  return ofInteger(integerOf(value) ?? 0n, verb, format, isUnsigned(value));
}

function printValue(value: Exclude<GoValue, undefined | null>, how: How): Bytes {
  const text = tryFormat(value, how);
  if (text !== undefined) return text;
  return `%!${how.verb}(${bytesOf(typeOf(value))}=${tryFormat(value, { ...how, verb: 'v', isBad: true }) ?? ''})`;
}

/** A value within a list, a map or a struct: a nil is the same for each verb, and no width counts. */
function inner(value: GoValue, how: How): Bytes {
  if (value !== undefined && value !== null) return printValue(value, { ...how, isTop: false });
  return how.format.sharpV ? 'interface {}(nil)' : '<nil>';
}

/** A value by a verb, or what Go prints of one that the verb does not fit. */
export function formatValue(value: GoValue, verb: string, format: Format): Bytes {
  if (value === undefined || value === null)
    return verb === 'v' || verb === 'T' ? pad('<nil>', format) : `%!${verb}(<nil>)`;
  if (verb === 'T') return ofString(bytesOf(typeOf(value)), 's', format) ?? '';
  return printValue(value, { verb, format, isBad: false, isTop: true });
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
