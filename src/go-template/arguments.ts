import type { Frame } from './frame.ts';
import { type Command, type NumberNode, type Operand, show } from './tree.ts';
import {
  anyType,
  canBeNil,
  GoComplex,
  GoList,
  type GoType,
  type GoValue,
  integer,
  isIntegerType,
  typeOf,
  zeroOf,
} from './value.ts';

type Literal = Extract<Operand, { readonly kind: 'bool' | 'string' | 'number' }>;

/** What a constant is where no type is asked for. */
export function literalOf(frame: Frame, node: Literal): GoValue {
  return node.kind === 'number' ? idealNumber(frame, node) : node.value;
}

function idealNumber(frame: Frame, node: NumberNode): GoValue {
  if (node.complex !== undefined) return new GoComplex(node.complex.re, node.complex.im);
  const isHex = /^0[xX]/.test(node.text) && node.text.length > 2 && !/[pP]/.test(node.text);
  if (node.float !== undefined && !isHex && !node.text.startsWith("'") && /[.eEpP]/.test(node.text)) return node.float;
  if (node.int === undefined) frame.fail(node, `${node.text} overflows int`);
  return node.int;
}

/** A constant takes the type that is wanted, as in Go: `1.0` is an int where an int is wanted. */
export function literalAs(frame: Frame, node: Literal, type: GoType): GoValue {
  if (type === anyType) return literalOf(frame, node);
  if (type === 'string' || type === 'bool') {
    if (node.kind !== 'number' && node.kind === type) return node.value;
    frame.fail(node, `expected ${type}; found ${show(node)}`);
  }
  if (type === 'float64') {
    if (node.kind === 'number' && node.float !== undefined) return node.float;
    frame.fail(node, `expected float; found ${show(node)}`);
  }
  if (isIntegerType(type)) {
    const unsigned = type.startsWith('u');
    const value = node.kind === 'number' ? (unsigned ? node.uint : node.int) : undefined;
    if (value === undefined) frame.fail(node, `expected ${unsigned ? 'unsigned ' : ''}integer; found ${show(node)}`);
    return integer(type, value);
  }
  return frame.fail(node, `can't handle ${show(node)} for arg of type ${type}`);
}

/** A value as an argument of a type. */
export function valueAs(frame: Frame, node: Operand | Command, value: GoValue, type: GoType): GoValue {
  if (value === undefined) {
    if (!canBeNil(type)) frame.fail(node, `invalid value; expected ${type}`);
    return zeroOf(type) ?? undefined;
  }
  if (type === anyType) return value ?? undefined;
  if (isAssignable(value, type)) return value;
  return frame.fail(node, `wrong type for value; expected ${type}; got ${typeOf(value)}`);
}

/** A nil as an argument of a type. */
export function nilAs(frame: Frame, node: Operand, type: GoType): GoValue {
  if (!canBeNil(type)) frame.fail(node, `cannot assign nil to ${type}`);
  return zeroOf(type) ?? undefined;
}

/** A named slice and the slice that it is made of can be given for each other. */
const isAssignable = (value: GoValue, type: GoType): boolean =>
  typeOf(value) === type || (value instanceof GoList && `[]${value.element}` === type);
