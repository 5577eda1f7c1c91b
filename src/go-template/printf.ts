import { type Bytes, runeAt } from './bytes.ts';
import { formatValue } from './format.ts';
import { bare, type Format } from './format-flags.ts';
import { type GoValue, integerOf, typeOf } from './value.ts';

const greatestWidth = 1_000_000;

type MutableFormat = { -readonly [name in keyof Format]: Format[name] };

/** Reads one format string, as doPrintf of Go's package fmt does. */
class Printer {
  readonly #format: Bytes;
  readonly #args: readonly GoValue[];
  #at = 0;
  #arg = 0;
  /** An argument was named by its index somewhere. */
  #reordered = false;
  /** What was read last is an index like `[3]`. */
  #afterIndex = false;
  #goodIndex = true;

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
    this.#afterIndex = false;
    if (this.#format[this.#at] !== '[') return;
    this.#reordered = true;
    const closed = this.#format.length - this.#at < 3 ? undefined : this.#take(/\[[^\]]*\]/y);
    if (closed === undefined) this.#at += 1;
    const digits = /^\[([0-9]+)\]$/.exec(closed ?? '')?.[1];
    const index = digits === undefined ? Number.NaN : Number(digits) - 1;
    this.#afterIndex = index < 10 * greatestWidth;
    if (index >= 0 && index < this.#args.length) this.#arg = index;
    else this.#goodIndex = false;
  }

  /** `*`: the next argument, if it is a fitting integer. */
  #starred(): number | undefined {
    const value = integerOf(this.#args[this.#arg]);
    if (this.#arg < this.#args.length) this.#arg += 1;
    this.#afterIndex = false;
    return value === undefined || value > greatestWidth || value < -greatestWidth ? undefined : Number(value);
  }

  /** The digits of a width or a precision; a number that is too long takes the rest of the format with it. */
  #digits(): number | undefined {
    const digits = this.#take(/[0-9]+/y);
    if (digits === undefined) return undefined;
    if (Number(digits.slice(0, -1)) <= greatestWidth) return Number(digits);
    this.#at = this.#format.length;
    return undefined;
  }

  #width(format: MutableFormat): Bytes {
    if (this.#take(/\*/y) === undefined) {
      format.width = this.#digits();
      if (this.#afterIndex && format.width !== undefined) this.#goodIndex = false;
      return '';
    }
    format.width = this.#starred();
    if (format.width === undefined) return '%!(BADWIDTH)';
    if (format.width < 0) {
      format.width = -format.width;
      format.minus = true;
      format.zero = false;
    }
    return '';
  }

  #precision(format: MutableFormat): Bytes {
    if (this.#at + 1 >= this.#format.length || this.#take(/\./y) === undefined) return '';
    if (this.#afterIndex) this.#goodIndex = false;
    this.#index();
    if (this.#take(/\*/y) === undefined) {
      format.precision = this.#digits() ?? 0;
      return '';
    }
    const found = this.#starred();
    if (found !== undefined && found >= 0) format.precision = found;
    return format.precision === undefined ? '%!(BADPREC)' : '';
  }

  #verb(): Bytes {
    this.#goodIndex = true;
    const flags = this.#take(/[-+# 0]*/y) ?? '';
    const format: MutableFormat = {
      ...bare,
      minus: flags.includes('-'),
      plus: flags.includes('+'),
      sharp: flags.includes('#'),
      space: flags.includes(' '),
      zero: flags.includes('0') && !flags.includes('-'),
    };
    this.#index();
    const wrong = this.#width(format) + this.#precision(format);
    if (!this.#afterIndex) this.#index();
    return wrong + this.#apply(format);
  }

  #apply(format: Format): Bytes {
    if (this.#at >= this.#format.length) return '%!(NOVERB)';
    const { size } = runeAt(this.#format, this.#at);
    const given = this.#format.slice(this.#at, this.#at + size);
    // A byte that is not UTF-8 is printed as U+FFFD.
    const verb = size === 1 && given >= '\x80' ? '\xef\xbf\xbd' : given;
    this.#at += size;
    if (verb === '%') return '%';
    if (!this.#goodIndex) return `%!${verb}(BADINDEX)`;
    if (this.#arg >= this.#args.length) return `%!${verb}(MISSING)`;
    const value = this.#args[this.#arg];
    this.#arg += 1;
    if (verb !== 'v') return formatValue(value, verb, format);
    const { plus, sharp } = format;
    return formatValue(value, verb, { ...format, plus: false, sharp: false, plusV: plus, sharpV: sharp });
  }
}

/** As fmt.Sprintf. */
export const sprintf = (format: Bytes, args: readonly GoValue[]): Bytes => new Printer(format, args).run();
