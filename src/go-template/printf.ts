import { type Bytes, runeAt } from './bytes.ts';
import { formatValue } from './format.ts';
import { bare, type Format } from './format-flags.ts';
import { type GoValue, integerOf, typeOf } from './value.ts';

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
