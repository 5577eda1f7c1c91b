import {
  GoComplex,
  GoError,
  GoFunction,
  GoInteger,
  GoList,
  GoMap,
  GoStruct,
  type GoValue,
  integerOf,
  typeOf,
} from './value.ts';

type Basic = 'bool' | 'complex' | 'int' | 'uint' | 'float' | 'string' | undefined;

function basicKind(value: GoValue): Basic {
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float';
    case 'string':
      return 'string';
    default:
      if (value instanceof GoComplex) return 'complex';
      return value instanceof GoInteger ? (value.type.startsWith('u') ? 'uint' : 'int') : undefined;
  }
}

const incompatible = () => new GoError('incompatible types for comparison');

function equals(a: GoValue, b: GoValue): boolean {
  const [x, y] = [integerOf(a), integerOf(b)];
  if (x !== undefined && y !== undefined) return x === y;
  if (basicKind(a) !== basicKind(b)) {
    // A nil equals nothing but a nil, without an error.
    if (a !== undefined && b !== undefined) throw incompatible();
    return false;
  }
  if (a instanceof GoComplex && b instanceof GoComplex) return a.re === b.re && a.im === b.im;
  if (a instanceof GoStruct && b instanceof GoStruct) return structsEqual(a, b);
  for (const value of [a, b]) {
    if (value instanceof GoList || value instanceof GoMap || value instanceof GoFunction) {
      if (a === undefined || b === undefined) return false;
      throw new GoError(`non-comparable type ${typeOf(value)}`);
    }
  }
  return a === b;
}

const structsEqual = (a: GoStruct, b: GoStruct): boolean =>
  a.type === b.type && [...a.fields].every(([name, value]) => equals(value, b.fields.get(name)));

/** `eq a b c`: whether a equals b or c. */
export function equal(first: GoValue, ...others: readonly GoValue[]): boolean {
  if (others.length === 0) throw new GoError('missing argument for comparison');
  return others.some((other) => equals(first, other));
}

/** `lt a b`. */
export function less(a: GoValue, b: GoValue): boolean {
  const [kind, other] = [basicKind(a), basicKind(b)];
  if (kind === undefined || other === undefined) throw new GoError('invalid type for comparison');
  const [x, y] = [integerOf(a), integerOf(b)];
  if (x !== undefined && y !== undefined) return x < y;
  if (kind !== other) throw incompatible();
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  if (typeof a === 'string' && typeof b === 'string') return a < b;
  throw new GoError('invalid type for comparison');
}
