import type { Token } from './lex.ts';
import type { NumberNode } from './tree.ts';
import { unquoteCharacter } from './unquote.ts';

const greatestInt = (1n << 63n) - 1n;
const greatestUint = (1n << 64n) - 1n;

/** The digits of an integer constant; undefined for what is none. `_` stands between digits, or behind a prefix. */
function magnitudeOf(digits: string): bigint | undefined {
  const plain = /^(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)$/;
  if (!plain.test(digits)) return undefined;
  const bare = digits.replaceAll('_', '');
  return BigInt(/^0[0-7]+$/.test(bare) ? `0o${bare.slice(1)}` : bare);
}

const decimal = /^[+-]?(?:[0-9](?:_?[0-9])*)?\.?(?:[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9](?:_?[0-9])*)?$/;
const hexadecimal = /^([+-]?)0[xX]((?:_?[0-9a-fA-F])*)\.?((?:_?[0-9a-fA-F])*)[pP]([+-]?[0-9]+)$/;

/** A floating-point constant; undefined for what is none, or too large. */
function floatOf(text: string): number | undefined {
  const hex = hexadecimal.exec(text.replaceAll('_', ''));
  let value = Number.NaN;
  if (hex !== null) {
    const [, sign, whole = '', part = '', exponent] = hex;
    if (whole + part !== '')
      value = Number(`0x${whole}${part}`) * 2 ** (Number(exponent) - 4 * part.length) * (sign === '-' ? -1 : 1);
  } else if (decimal.test(text) && /[0-9]/.test(text)) value = Number(text.replaceAll('_', ''));
  return Number.isFinite(value) ? value : undefined;
}

type Values = Pick<NumberNode, 'int' | 'uint' | 'float' | 'complex'>;
const none: Values = { int: undefined, uint: undefined, float: undefined, complex: undefined };

/** The integers that a float is, too. */
function ofFloat(float: number): Values {
  const whole = Number.isInteger(float) ? BigInt(float) : undefined;
  const fits = (least: bigint, most: bigint) =>
    whole !== undefined && whole >= least && whole <= most ? whole : undefined;
  return { ...none, float, int: fits(-greatestInt - 1n, greatestInt), uint: fits(0n, greatestUint) };
}

function ofComplex(re: number, im: number): Values {
  return { ...(im === 0 ? ofFloat(re) : none), complex: { re, im } };
}

/** The two parts of `1+2i`. */
function complexParts(text: string): Values {
  for (const split of [...text.matchAll(/[+-]/g)].reverse()) {
    const re = floatOf(text.slice(0, split.index));
    const im = floatOf(text.slice(split.index, -1));
    if (split.index > 0 && re !== undefined && im !== undefined) return ofComplex(re, im);
  }
  throw new SyntaxError(`illegal number syntax: "${text}"`);
}

function ofText(text: string): Values {
  const signed = /^[+-]/.test(text);
  const magnitude = magnitudeOf(signed ? text.slice(1) : text);
  if (magnitude !== undefined) {
    const value = text.startsWith('-') ? -magnitude : magnitude;
    const int = value >= -greatestInt - 1n && value <= greatestInt ? value : undefined;
    const uint = (!signed && value <= greatestUint) || int === 0n ? value : undefined;
    if (int !== undefined || uint !== undefined) return { ...none, int, uint, float: Number(value) };
  }
  const float = floatOf(text);
  if (float === undefined) throw new SyntaxError(`illegal number syntax: "${text}"`);
  if (!/[.eEpP]/.test(text)) throw new SyntaxError(`integer overflow: "${text}"`);
  return ofFloat(float);
}

/** The node of a number or a character. Throws SyntaxError. */
export function numberNode({ kind, text, at }: Token): NumberNode {
  const base = { kind: 'number', at, text } as const;
  if (kind === 'character') {
    const rune = unquoteCharacter(text);
    return { ...base, ...none, int: BigInt(rune), uint: BigInt(rune), float: rune };
  }
  if (kind === 'complex') return { ...base, ...complexParts(text) };
  const imaginary = text.endsWith('i') ? floatOf(text.slice(0, -1)) : undefined;
  return { ...base, ...(imaginary === undefined ? ofText(text) : ofComplex(0, imaginary)) };
}
