import { type Bytes, isPrint, runeAt } from './bytes.ts';
import { equal, less } from './compare.ts';
import { sprint, sprintln } from './format.ts';
import { sprintf } from './printf.ts';
import {
  anyType,
  GoError,
  GoFunction,
  GoInteger,
  GoList,
  GoMap,
  type GoValue,
  integerOf,
  isTrue,
  typeOf,
  zeroOf,
} from './value.ts';

/** An index within 0 and `most`. */
function indexOf(index: GoValue, most: number): number {
  const value = integerOf(index);
  if (value === undefined) {
    const of = index === undefined ? 'nil' : `type ${typeOf(index)}`;
    throw new GoError(`cannot index slice/array with ${of}`);
  }
  if (value < 0n || value > BigInt(most)) throw new GoError(`index out of range: ${value}`);
  return Number(value);
}

function index(item: GoValue, ...indexes: readonly GoValue[]): GoValue {
  let value = item;
  if (value === undefined) throw new GoError('index of untyped nil');
  for (const one of indexes) {
    if (value === undefined || value === null) throw new GoError('index of nil pointer');
    if (typeof value === 'string')
      value = new GoInteger('uint8', BigInt(value.charCodeAt(indexOf(one, value.length - 1))));
    else if (value instanceof GoList) value = value.items[indexOf(one, value.items.length - 1)];
    else if (value instanceof GoMap) value = entryOf(value, one);
    else throw new GoError(`can't index item of type ${typeOf(value)}`);
  }
  return value;
}

function entryOf(map: GoMap, key: GoValue): GoValue {
  if (key === undefined) throw new GoError('value is nil; should be of type string');
  if (typeof key !== 'string') throw new GoError(`value has type ${typeOf(key)}; should be string`);
  return map.entries.has(key) ? map.entries.get(key) : zeroOf(map.element);
}

function slice(item: GoValue, ...indexes: readonly GoValue[]): GoValue {
  if (item === undefined) throw new GoError('slice of untyped nil');
  if (indexes.length > 3) throw new GoError(`too many slice indexes: ${indexes.length}`);
  if (typeof item !== 'string' && !(item instanceof GoList))
    throw new GoError(`can't slice item of type ${typeOf(item)}`);
  if (typeof item === 'string' && indexes.length === 3) throw new GoError('cannot 3-index slice a string');
  const length = typeof item === 'string' ? item.length : item.items.length;
  const [from = 0, to = length, cap = to] = indexes.map((one) => indexOf(one, length));
  if (from > to) throw new GoError(`invalid slice index: ${from} > ${to}`);
  if (to > cap) throw new GoError(`invalid slice index: ${to} > ${cap}`);
  if (typeof item === 'string') return item.slice(from, to);
  return new GoList(item.element, item.items.slice(from, to), item.type);
}

function length(item: GoValue): GoValue {
  if (typeof item === 'string') return BigInt(item.length);
  if (item instanceof GoList) return BigInt(item.items.length);
  if (item instanceof GoMap) return BigInt(item.entries.size);
  throw new GoError(item === undefined ? 'len of nil pointer' : `len of type ${typeOf(item)}`);
}

function call(called: GoValue, ...args: readonly GoValue[]): GoValue {
  if (called === undefined) throw new GoError('call of nil');
  if (!(called instanceof GoFunction)) throw new GoError(`non-function of type ${typeOf(called)}`);
  const { params, variadic } = called;
  if (variadic === undefined ? args.length !== params.length : args.length < params.length) {
    throw new GoError(
      `wrong number of args: got ${args.length} want ${variadic === undefined ? '' : 'at least '}${params.length}`,
    );
  }
  return called.run(args);
}

const htmlEscapes: Readonly<Record<string, string>> = {
  '\0': '\xef\xbf\xbd',
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
};

const escapeHtml = (text: Bytes): Bytes => text.replace(/[\0"'&<>]/g, (char) => htmlEscapes[char] ?? char);

const jsEscapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '<': '\\u003C',
  '>': '\\u003E',
  '&': '\\u0026',
  '=': '\\u003D',
};

const hex4 = (code: number): string => code.toString(16).toUpperCase().padStart(4, '0');

function escapeJs(text: Bytes): Bytes {
  let out = '';
  for (let at = 0; at < text.length; ) {
    const { rune, size } = runeAt(text, at);
    const char = text.slice(at, at + size);
    if (rune >= 0x80) out += isPrint(rune) ? char : `\\u${hex4(rune)}`;
    else out += jsEscapes[char] ?? (rune < 0x20 ? `\\u${hex4(rune)}` : char);
    at += size;
  }
  return out;
}

const escapeQuery = (text: Bytes): Bytes =>
  text.replace(/[^A-Za-z0-9_.~-]/g, (char) =>
    char === ' ' ? '+' : `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );

/** Arguments as one text, as print has it; one that is not there is said to be no value. */
const joined = (args: readonly GoValue[]): Bytes => sprint(args.map((arg) => arg ?? '<no value>'));

const builtin = (params: number, run: (...args: readonly GoValue[]) => GoValue, variadic = false): GoFunction =>
  new GoFunction(
    Array.from({ length: params }, () => anyType),
    (args) => run(...args),
    variadic ? anyType : undefined,
  );

/** The functions that each template has. `and` and `or` are in the execution, which does not evaluate all of their arguments. */
export const builtins: ReadonlyMap<string, GoFunction> = new Map([
  ['call', builtin(1, call, true)],
  ['eq', builtin(1, equal, true)],
  ['ge', builtin(2, (a, b) => !less(a, b))],
  ['gt', builtin(2, (a, b) => !(less(a, b) || equal(a, b)))],
  ['html', builtin(0, (...args) => escapeHtml(joined(args)), true)],
  ['index', builtin(1, index, true)],
  ['js', builtin(0, (...args) => escapeJs(joined(args)), true)],
  ['le', builtin(2, (a, b) => less(a, b) || equal(a, b))],
  ['len', builtin(1, length)],
  ['lt', builtin(2, less)],
  ['ne', builtin(2, (a, b) => !equal(a, b))],
  ['not', builtin(1, (value) => !isTrue(value))],
  ['print', builtin(0, (...args) => sprint(args), true)],
  ['printf', new GoFunction(['string'], ([format, ...args]) => sprintf(String(format), args), anyType)],
  ['println', builtin(0, (...args) => sprintln(args), true)],
  ['slice', builtin(1, slice, true)],
  ['urlquery', builtin(0, (...args) => escapeQuery(joined(args)), true)],
]);

/** The names of all functions that a template has without a map of its own. */
export const builtinNames: ReadonlySet<string> = new Set([...builtins.keys(), 'and', 'or']);
