import { type Bytes, bytesOfRune, isPrint } from './bytes.ts';
import { floatText } from './float.ts';
import { type Format, pad, padSpaces, type Verb } from './format-flags.ts';
import { quoteRune } from './quote.ts';
import type { GoComplex } from './value.ts';

const bases: Readonly<Record<string, readonly [base: number, prefix: string]>> = {
  b: [2, '0b'],
  o: [8, '0'],
  O: [8, '0'],
  x: [16, '0x'],
  X: [16, '0X'],
};

function formatInteger(value: bigint, verb: string, format: Format): Bytes {
  const { sharp, plus, space, zero, width, precision } = format;
  if (precision === 0 && value === 0n) return padSpaces('', format);
  const [base, prefix] = bases[verb] ?? [10, ''];
  const negative = value < 0n;
  let digits = (negative ? -value : value).toString(base);
  if (verb === 'X') digits = digits.toUpperCase();
  const signed = negative || plus || space;
  digits = digits.padStart(precision ?? (zero ? (width ?? 0) - (signed ? 1 : 0) : 0), '0');
  if (sharp && !(prefix === '0' && digits.startsWith('0'))) digits = prefix + digits;
  if (verb === 'O') digits = `0o${digits}`;
  return padSpaces((negative ? '-' : plus ? '+' : space ? ' ' : '') + digits, format);
}

const mostRune = 0x10ffffn;

/** The code point of an integer; what is none is U+FFFD. */
const runeOf = (value: bigint): number => (value < 0n || value > mostRune ? 0xfffd : Number(value));

function unicode(value: bigint, format: Format): Bytes {
  const code = BigInt.asUintN(64, value);
  const digits = code.toString(16).toUpperCase();
  const shown = format.sharp && code <= mostRune && isPrint(Number(code)) ? ` '${bytesOfRune(Number(code))}'` : '';
  return padSpaces(`U+${digits.padStart(Math.max(4, format.precision ?? 0), '0')}${shown}`, format);
}

export function ofInteger(value: bigint, verb: string, format: Format, unsigned: boolean): Verb {
  switch (verb) {
    case 'v':
      return format.sharpV && unsigned
        ? formatInteger(value, 'x', { ...format, sharp: true })
        : formatInteger(value, 'd', format);
    case 'd':
    case 'b':
    case 'o':
    case 'O':
    case 'x':
    case 'X':
      return formatInteger(value, verb, format);
    case 'c':
      return pad(bytesOfRune(runeOf(value)), format);
    case 'q':
      return pad(quoteRune(runeOf(value), format.plus), format);
    case 'U':
      return unicode(value, format);
    default:
      return undefined;
  }
}

/** `#` keeps the point and, up to the precision, the zeros that `%g` leaves out. */
function withZeros(digits: string, verb: string, precision: number | undefined): string {
  const isHex = verb === 'x' || verb === 'X';
  const tailAt = digits.search(isHex ? /[pP]/ : /[eE]/);
  const [number, tail] = tailAt === -1 ? [digits, ''] : [digits.slice(0, tailAt), digits.slice(tailAt)];
  const wanted = /[gGx]/.test(verb) ? (precision ?? 6) : 0;
  const significant = number.replaceAll('.', '').replace(/^0+/, '').length + (number === '0' ? 1 : 0);
  const point = number.includes('.') ? '' : '.';
  return number + point + '0'.repeat(Math.max(0, wanted - significant)) + tail;
}

/** The verb and precision of strconv that a verb of a float has. */
const floatVerbs: Readonly<Record<string, readonly [verb: string, precision: number | undefined]>> = {
  v: ['g', undefined],
  b: ['b', undefined],
  g: ['g', undefined],
  G: ['G', undefined],
  x: ['x', undefined],
  X: ['X', undefined],
  f: ['f', 6],
  e: ['e', 6],
  E: ['E', 6],
  F: ['f', 6],
};

export function ofFloat(value: number, verb: string, format: Format): Verb {
  const [kind, usual] = floatVerbs[verb] ?? [];
  if (kind === undefined) return undefined;
  const { plus, space, sharp, zero, width = 0 } = format;
  const precision = format.precision ?? usual;
  const isNegative = value < 0 || Object.is(value, -0);
  const sign = isNegative ? '-' : space && !plus ? ' ' : '+';
  const found = floatText(value, kind, precision);
  if (Number.isNaN(value)) return padSpaces(plus || space ? sign + found : found, format);
  if (!Number.isFinite(value)) return padSpaces(sign + found, format);
  const digits = sharp && kind !== 'b' ? withZeros(found, kind, precision) : found;
  if (sign === '+' && !plus) return pad(digits, format);
  if (zero) return sign + digits.padStart(width - 1, '0');
  return pad(sign + digits, format);
}

export function ofComplex({ re, im }: GoComplex, verb: string, format: Format): Verb {
  const real = ofFloat(re, verb, format);
  const imaginary = ofFloat(im, verb, { ...format, plus: true });
  return real === undefined || imaginary === undefined ? undefined : `(${real}${imaginary}i)`;
}
