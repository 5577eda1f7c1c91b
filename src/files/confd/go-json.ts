import { type Bytes, bytesOf, runeAt, textOf } from '../../go-template/bytes.ts';
import {
  anyType,
  GoComplex,
  GoError,
  GoFunction,
  GoInteger,
  GoList,
  GoMap,
  GoStruct,
  type GoType,
  type GoValue,
} from '../../go-template/value.ts';

function fromJson(value: unknown): GoValue {
  if (typeof value === 'string') return bytesOf(value);
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
    throw new GoError('json: cannot unmarshal a number that is too large into Go value of type float64');
  if (Array.isArray(value)) return new GoList(anyType, value.map(fromJson));
  if (typeof value !== 'object' || value === null) return value as boolean | number | null;
  return new GoMap(anyType, new Map(Object.entries(value).map(([key, one]) => [bytesOf(key), fromJson(one)])));
}

/** A value of any type. Throws GoError for text that is no JSON. */
export function parseAnyJson(data: Bytes): GoValue {
  try {
    return fromJson(JSON.parse(textOf(data)));
  } catch (error) {
    throw new GoError(data.trim() === '' ? 'unexpected end of JSON input' : (error as Error).message);
  }
}

/** A value of a type: a list or a map. Throws GoError. */
export function parseJson(data: Bytes, type: GoType): GoValue {
  const value = parseAnyJson(data);
  const isMap = type.startsWith('map');
  if (value === null) return isMap ? new GoMap(anyType, new Map(), true) : new GoList(anyType, [], undefined, true);
  if (isMap ? value instanceof GoMap : value instanceof GoList) return value;
  const kind = value instanceof GoList ? 'array' : value instanceof GoMap ? 'object' : jsonKind(value);
  throw new GoError(`json: cannot unmarshal ${kind} into Go value of type ${type}`);
}

const jsonKind = (value: GoValue): string =>
  typeof value === 'string' ? 'string' : typeof value === 'number' ? 'number' : 'bool';

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

const hex4 = (code: number): string => code.toString(16).padStart(4, '0');

/** A text as Go writes it in JSON: safe within HTML. */
function jsonText(text: Bytes): Bytes {
  let out = '"';
  for (let at = 0; at < text.length; ) {
    const { rune, size } = runeAt(text, at);
    const char = text.slice(at, at + size);
    if (rune === 0xfffd && size === 1) out += '\\ufffd';
    else if (rune < 0x20 || char === '"' || char === '\\') out += escapes[char] ?? `\\u${hex4(rune)}`;
    else if (char === '<' || char === '>' || char === '&' || rune === 0x2028 || rune === 0x2029)
      out += `\\u${hex4(rune)}`;
    else out += char;
    at += size;
  }
  return `${out}"`;
}

/** Writes JSON as Go does; `indent`: what a level is indented by. Throws GoError for what JSON does not have. */
export function writeJson(value: GoValue, indent = '', level = ''): Bytes {
  if (value === undefined || value === null) return 'null';
  if (typeof value === 'string') return jsonText(value);
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (value instanceof GoInteger) return String(value.value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new GoError(`json: unsupported value: ${value}`);
    return Object.is(value, -0) ? '-0' : String(value);
  }
  if (value instanceof GoFunction || value instanceof GoComplex)
    throw new GoError(`json: unsupported type: ${value.type}`);
  const inner = level + indent;
  const block = (open: string, items: readonly Bytes[], close: string): Bytes => {
    if (items.length === 0) return open + close;
    if (indent === '') return open + items.join(',') + close;
    return `${open}\n${items.map((item) => inner + item).join(',\n')}\n${level}${close}`;
  };
  if (value instanceof GoList)
    return block(
      '[',
      value.items.map((item) => writeJson(item, indent, inner)),
      ']',
    );
  const entries: readonly (readonly [Bytes, GoValue])[] =
    value instanceof GoStruct ? [...value.fields] : value.sorted();
  const colon = indent === '' ? ':' : ': ';
  return block(
    '{',
    entries.map(([key, one]) => jsonText(key) + colon + writeJson(one, indent, inner)),
    '}',
  );
}
