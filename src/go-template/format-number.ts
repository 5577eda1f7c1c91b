import { type Bytes, bytesOfRune, isPrint } from './bytes.ts';
import { floatText } from './float.ts';
import { type Format, pad, padNumber, signOf, type Verb } from './format-flags.ts';
import { quoteRune } from './quote.ts';
import type { GoComplex } from './value.ts';

const bases: Readonly<Record<string, readonly [base: number, prefix: string]>> = {
  b: [2, '0b'],
  o: [8, '0'],
  O: [8, '0o'],
  x: [16, '0x'],
  X: [16, '0X'],
};

function formatInteger(value: bigint, verb: string, format: Format): Bytes {
  const [base, prefix] = bases[verb] ?? [10, ''];
  const magnitude = value < 0n ? -value : value;
  let digits = magnitude.toString(base);
  if (verb === 'X') digits = digits.toUpperCase();
  const { precision } = format;
  if (precision === 0 && value === 0n) return pad('', { ...format, zero: false });
  digits = digits.padStart(precision ?? 0, '0');
  const shown = (format.sharp || verb === 'O') && !(verb === 'o' && digits.startsWith('0')) ? prefix : '';
  const kept = precision === undefined ? format : { ...format, zero: false };
  return padNumber(signOf(value < 0n, format) + shown, digits, kept);
}

export function ofInteger(value: bigint, verb: string, format: Format, unsigned: boolean): Verb {
  switch (verb) {
    case 'v':
      return format.sharp && unsigned
        ? formatInteger(value, 'x', format)
        : formatInteger(value, 'd', { ...format, sharp: false });
    case 'd':
    case 'b':
    case 'o':
    case 'O':
    case 'x':
    case 'X':
      return formatInteger(value, verb, verb === 'd' ? { ...format, sharp: false } : format);
    case 'c':
      return pad(bytesOfRune(Number(value)), format);
    case 'q':
      return pad(quoteRune(Number(value), format.plus), format);
    case 'U': {
      const text = `U+${value
        .toString(16)
        .toUpperCase()
        .padStart(Math.max(4, format.precision ?? 4), '0')}`;
      const char = format.sharp && isPrint(Number(value)) ? ` '${bytesOfRune(Number(value))}'` : '';
      return pad(text + char, { ...format, zero: false });
    }
    default:
      return undefined;
  }
}

export function ofFloat(value: number, verb: string, format: Format): Verb {
  if (!/^[vegEGfF]$/.test(verb)) return undefined;
  const keepsZeros = format.sharp && verb !== 'v';
  const precision = keepsZeros && /[gG]/.test(verb) ? (format.precision ?? 6) : format.precision;
  const kind = verb === 'v' ? 'g' : verb;
  let digits = floatText(value, kind, precision, keepsZeros);
  // Of 100 with three digits the point stays: "100."
  if (keepsZeros && !digits.includes('.') && Number.isFinite(value)) digits = digits.replace(/(?=e|E|$)/, '.');
  const negative = value < 0 || Object.is(value, -0);
  const isNumber = Number.isFinite(value);
  const sign = !isNumber && Number.isNaN(value) ? signOf(false, format) : signOf(negative, format);
  return padNumber(
    !isNumber && sign === '' && !Number.isNaN(value) ? '+' : sign,
    digits,
    isNumber ? format : { ...format, zero: false },
  );
}

export function ofComplex({ re, im }: GoComplex, verb: string, format: Format): Verb {
  const real = ofFloat(re, verb, format);
  const imaginary = ofFloat(im, verb, { ...format, plus: true });
  return real === undefined || imaginary === undefined ? undefined : `(${real}${imaginary}i)`;
}
