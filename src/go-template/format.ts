import { type Bytes, bytesOf, bytesOfRune, isPrint, runeAt, runeCount, runesOf } from './bytes.ts';
import { floatText } from './float.ts';
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

/** The flags, width and precision of a verb. */
type Format = {
  readonly minus: boolean;
  readonly plus: boolean;
  readonly sharp: boolean;
  readonly space: boolean;
  readonly zero: boolean;
  readonly width: number | undefined;
  readonly precision: number | undefined;
};

const bare: Format = {
  minus: false,
  plus: false,
  sharp: false,
  space: false,
  zero: false,
  width: undefined,
  precision: undefined,
};

function pad(text: Bytes, { width, minus, zero }: Format): Bytes {
  const missing = (width ?? 0) - runeCount(text);
  if (missing <= 0) return text;
  if (minus) return text + ' '.repeat(missing);
  return (zero ? '0' : ' ').repeat(missing) + text;
}

/** A number with its sign: zeros of a width stand behind the sign. */
function padNumber(sign: string, digits: string, format: Format): Bytes {
  const missing = (format.width ?? 0) - sign.length - digits.length;
  if (format.zero && !format.minus && missing > 0) return sign + '0'.repeat(missing) + digits;
  return pad(sign + digits, { ...format, zero: false });
}

const signOf = (negative: boolean, { plus, space }: Format): string => (negative ? '-' : plus ? '+' : space ? ' ' : '');

/** What a verb makes of a value; undefined where the verb does not fit. */
type Verb = Bytes | undefined;

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

function ofInteger(value: bigint, verb: string, format: Format, unsigned: boolean): Verb {
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
      return pad(quoteRune(Number(value), format), format);
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

function ofFloat(value: number, verb: string, format: Format): Verb {
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

const named: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  92: '\\\\',
};

function escapeRune(rune: number, size: number, byte: number, quote: string, asciiOnly: boolean): Bytes {
  if (rune === quote.charCodeAt(0)) return `\\${quote}`;
  if (named[rune] !== undefined) return named[rune];
  if (rune === 0xfffd && size === 1) return `\\x${byte.toString(16).padStart(2, '0')}`;
  if (rune < 0x80 ? rune >= 0x20 && rune < 0x7f : isPrint(rune) && !asciiOnly) return bytesOfRune(rune);
  if (rune < 0x80) return `\\x${rune.toString(16).padStart(2, '0')}`;
  return rune < 0x10000 ? `\\u${rune.toString(16).padStart(4, '0')}` : `\\U${rune.toString(16).padStart(8, '0')}`;
}

/** A string as a Go constant. */
export function quote(text: Bytes, asciiOnly = false): Bytes {
  let out = '"';
  for (let at = 0; at < text.length; ) {
    const { rune, size } = runeAt(text, at);
    out += escapeRune(rune, size, text.charCodeAt(at), '"', asciiOnly);
    at += size;
  }
  return `${out}"`;
}

const quoteRune = (rune: number, { plus }: Format): Bytes => `'${escapeRune(rune, 2, 0, "'", plus)}'`;

function hexOf(text: Bytes, verb: string, { sharp, space, precision }: Format): Bytes {
  const kept = precision === undefined ? text : text.slice(0, precision);
  const prefix = sharp ? `0${verb}` : '';
  const bytes = [...kept].map((char) => char.charCodeAt(0).toString(16).padStart(2, '0'));
  const shown = verb === 'X' ? bytes.map((byte) => byte.toUpperCase()) : bytes;
  if (shown.length === 0) return '';
  return space ? shown.map((byte) => prefix + byte).join(' ') : prefix + shown.join('');
}

function truncated(text: Bytes, { precision }: Format): Bytes {
  if (precision === undefined || text.length <= precision) return text;
  return runesOf(text).slice(0, precision).map(bytesOfRune).join('');
}

function ofString(value: Bytes, verb: string, format: Format): Verb {
  switch (verb) {
    case 'v':
      return pad(format.sharp ? quote(value) : truncated(value, format), format);
    case 's':
      return pad(truncated(value, format), format);
    case 'q': {
      const text = truncated(value, format);
      const raw = format.sharp && !/[\x00-\x08\x0a-\x1f\x7f`]/.test(text);
      return pad(raw ? `\`${text}\`` : quote(text, format.plus), format);
    }
    case 'x':
    case 'X':
      return pad(hexOf(value, verb, format), format);
    default:
      return undefined;
  }
}

function ofComplex({ re, im }: GoComplex, verb: string, format: Format): Verb {
  const real = ofFloat(re, verb, format);
  const imaginary = ofFloat(im, verb, { ...format, plus: true });
  return real === undefined || imaginary === undefined ? undefined : `(${real}${imaginary}i)`;
}

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

function formatValue(value: GoValue, verb: string, format: Format): Bytes {
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

const greatestWidth = 1_000_000;

/** Reads one format string. */
class Printer {
  readonly #format: Bytes;
  readonly #args: readonly GoValue[];
  #at = 0;
  #arg = 0;
  #reordered = false;
  #badIndex = false;

  constructor(format: Bytes, args: readonly GoValue[]) {
    this.#format = format;
    this.#args = args;
  }

  run(): Bytes {
    let out = '';
    for (;;) {
      const next = this.#format.indexOf('%', this.#at);
      if (next === -1) break;
      out += this.#format.slice(this.#at, next);
      this.#at = next + 1;
      out += this.#verb();
    }
    out += this.#format.slice(this.#at);
    if (this.#reordered || this.#arg >= this.#args.length) return out;
    const extra = this.#args.slice(this.#arg).map((value) => {
      const known = value !== undefined && value !== null;
      return known ? `${typeOf(value)}=${formatValue(value, 'v', bare)}` : '<nil>';
    });
    return `${out}%!(EXTRA ${extra.join(', ')})`;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#format)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  /** `[3]`: which argument is next. */
  #index(): void {
    const found = this.#take(/\[[^\]]*\]/y);
    if (found === undefined) return;
    this.#reordered = true;
    const number = /^\[([0-9]+)\]$/.exec(found)?.[1];
    const index = Number(number ?? 0) - 1;
    if (index < 0 || index >= this.#args.length) this.#badIndex = true;
    else this.#arg = index;
  }

  /** A number in the format, or `*`: the next argument. A string says what is wrong. */
  #number(): number | string | undefined {
    if (this.#take(/\*/y) === undefined) {
      const digits = this.#take(/[0-9]+/y);
      return digits === undefined ? undefined : Number(digits);
    }
    const value = this.#args[this.#arg];
    this.#arg += 1;
    const number = integerOf(value);
    return number === undefined || number > greatestWidth || number < -greatestWidth ? 'bad' : Number(number);
  }

  #verb(): Bytes {
    this.#badIndex = false;
    const flags = this.#take(/[-+# 0]*/y) ?? '';
    let format: Format = {
      ...bare,
      minus: flags.includes('-'),
      plus: flags.includes('+'),
      sharp: flags.includes('#'),
      space: flags.includes(' '),
      zero: flags.includes('0') && !flags.includes('-'),
    };
    let out = '';
    this.#index();
    const width = this.#number();
    if (typeof width === 'string') out += '%!(BADWIDTH)';
    else if (width !== undefined && width < 0) format = { ...format, width: -width, minus: true, zero: false };
    else format = { ...format, width };
    if (this.#take(/\./y) !== undefined) {
      this.#index();
      const precision = this.#number() ?? 0;
      if (typeof precision === 'string') out += '%!(BADPREC)';
      else if (precision >= 0) format = { ...format, precision };
      else out += '%!(BADPREC)';
    }
    this.#index();
    return out + this.#apply(format);
  }

  #apply(format: Format): Bytes {
    if (this.#at >= this.#format.length) return '%!(NOVERB)';
    const { size } = runeAt(this.#format, this.#at);
    const verb = this.#format.slice(this.#at, this.#at + size);
    this.#at += size;
    if (verb === '%') return '%';
    if (this.#badIndex) return `%!${verb}(BADINDEX)`;
    if (this.#arg >= this.#args.length) return `%!${verb}(MISSING)`;
    const value = this.#args[this.#arg];
    this.#arg += 1;
    return formatValue(value, verb, format);
  }
}

/** As fmt.Sprintf. */
export const sprintf = (format: Bytes, args: readonly GoValue[]): Bytes => new Printer(format, args).run();
