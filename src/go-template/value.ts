import type { Bytes } from './bytes.ts';

/**
 * A value as Go has it.
 * - `undefined`: no value, or an untyped nil. `null`: a nil that stands in a list or a map.
 * - a string is bytes (`Bytes`), a bigint is an `int`, a number a `float64`.
 */
export type GoValue =
  | undefined
  | null
  | Bytes
  | boolean
  | bigint
  | number
  | GoInteger
  | GoComplex
  | GoList
  | GoMap
  | GoStruct
  | GoFunction;

/** The name of a type as Go prints it: `string`, `[]string`, `map[string]interface {}`, `memkv.KVPair`. */
export type GoType = string;

/** The methods of a type. */
export type GoMethods = {
  readonly method?: (name: string) => GoFunction | undefined;
  /** What its method String gives, if it has one. */
  readonly text?: () => Bytes;
  /** What its method GoString gives, if it has one. */
  readonly goText?: () => Bytes;
};

/** An integer of another type than `int`. */
export class GoInteger {
  readonly type: GoType;
  readonly value: bigint;
  readonly method: GoMethods['method'];
  readonly text: (() => Bytes) | undefined;
  readonly goText: (() => Bytes) | undefined;
  constructor(type: GoType, value: bigint, { method, text, goText }: GoMethods = {}) {
    this.type = type;
    this.value = value;
    this.method = method;
    this.text = text;
    this.goText = goText;
  }
}

export class GoComplex {
  readonly type: GoType = 'complex128';
  readonly re: number;
  readonly im: number;
  constructor(re: number, im: number) {
    this.re = re;
    this.im = im;
  }
}

/** A slice. Functions may change its items in place, as Go's do. */
export class GoList {
  readonly type: GoType;
  readonly element: GoType;
  readonly items: GoValue[];
  /** A slice that was never made, which only `%#v` tells from an empty one. */
  readonly isNil: boolean;
  constructor(element: GoType, items: GoValue[], type: GoType = `[]${element}`, isNil = false) {
    this.type = type;
    this.element = element;
    this.items = items;
    this.isNil = isNil;
  }
}

/** A map with keys of type string. */
export class GoMap {
  readonly type: GoType;
  readonly element: GoType;
  readonly entries: Map<Bytes, GoValue>;
  readonly isNil: boolean;
  constructor(element: GoType, entries: Map<Bytes, GoValue>, isNil = false) {
    this.type = `map[string]${element}`;
    this.element = element;
    this.entries = entries;
    this.isNil = isNil;
  }
  /** In the order in which Go prints and ranges over them. */
  sorted(): [Bytes, GoValue][] {
    return [...this.entries].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** A struct, or a pointer to one. */
export class GoStruct {
  readonly type: GoType;
  readonly fields: ReadonlyMap<string, GoValue>;
  readonly method: GoMethods['method'];
  readonly text: (() => Bytes) | undefined;
  readonly goText: (() => Bytes) | undefined;
  constructor(type: GoType, fields: ReadonlyMap<string, GoValue>, { method, text, goText }: GoMethods = {}) {
    this.type = type;
    this.fields = fields;
    this.method = method;
    this.text = text;
    this.goText = goText;
  }
}

/** A function that templates call. It throws GoError for what Go's returns as an error. */
export class GoFunction {
  readonly params: readonly GoType[];
  /** The type of each further argument; undefined: there are none. */
  readonly variadic: GoType | undefined;
  readonly run: (args: readonly GoValue[]) => GoValue;
  constructor(params: readonly GoType[], run: (args: readonly GoValue[]) => GoValue, variadic?: GoType) {
    this.params = params;
    this.run = run;
    this.variadic = variadic;
  }
  get type(): GoType {
    const list = [...this.params, ...(this.variadic === undefined ? [] : [`...${this.variadic}`])];
    return `func(${list.join(', ')})`;
  }
}

/** What a Go function returns as its error. */
export class GoError extends Error {}

/** The type that takes any value. */
export const anyType = 'interface {}';

/** The name of a value's type. */
export function typeOf(value: GoValue): GoType {
  switch (typeof value) {
    case 'undefined':
      return '<nil>';
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float64';
    default:
      return value === null ? anyType : value.type;
  }
}

/** The value of any integer type; undefined for what is no integer. */
export const integerOf = (value: GoValue): bigint | undefined =>
  typeof value === 'bigint' ? value : value instanceof GoInteger ? value.value : undefined;

export const isUnsigned = (value: GoValue): boolean => value instanceof GoInteger && /^(uint|byte)/.test(value.type);

/** Whether an action such as `if` takes a value for true. */
export function isTrue(value: GoValue): boolean {
  if (value === undefined || value === null) return false;
  if (value instanceof GoList) return value.items.length > 0;
  if (value instanceof GoMap) return value.entries.size > 0;
  if (value instanceof GoInteger) return value.value !== 0n;
  if (value instanceof GoComplex) return value.re !== 0 || value.im !== 0;
  if (value instanceof GoStruct || value instanceof GoFunction) return true;
  // NaN is not 0.
  return typeof value === 'number' ? value !== 0 : Boolean(value);
}

const integerBits = /^(u?)int(8|16|32|64)?$|^time\.(?:Duration|Month|Weekday)$/;

/** Whether a type has integers, and which: `int`, `uint16`. */
export const isIntegerType = (type: GoType): boolean => integerBits.test(type);

/** An integer as a type keeps it. */
export function integer(type: GoType, value: bigint): GoValue {
  const [, unsigned, bits = '64'] = integerBits.exec(type) ?? [];
  const kept = unsigned === 'u' ? BigInt.asUintN(Number(bits), value) : BigInt.asIntN(Number(bits), value);
  return type === 'int' ? kept : new GoInteger(type, kept);
}

/** The value that a type has before anything is assigned. */
export function zeroOf(type: GoType): GoValue {
  if (type === 'string') return '';
  if (type === 'bool') return false;
  if (type === 'float64') return 0;
  if (isIntegerType(type)) return integer(type, 0n);
  if (type.startsWith('[]')) return new GoList(type.slice(2), [], type, true);
  if (type.startsWith('map[string]')) return new GoMap(type.slice('map[string]'.length), new Map(), true);
  return null;
}

/** Whether a nil may be given where a type is wanted. */
export const canBeNil = (type: GoType): boolean => type === anyType || type.startsWith('[]') || type.startsWith('map[');

/** The bytes of a slice of bytes; undefined for any other slice. */
export const bytesOfList = ({ element, items }: GoList): Bytes | undefined =>
  element === 'uint8' ? String.fromCharCode(...items.map((item) => Number(integerOf(item) ?? 0n))) : undefined;

/** A slice of bytes. */
export const byteList = (bytes: Bytes): GoList =>
  new GoList(
    'uint8',
    Array.from(bytes, (byte) => new GoInteger('uint8', BigInt(byte.charCodeAt(0)))),
  );
