import { GoError } from '../../go-template/value.ts';

/** A regular expression of Go, as JavaScript has it. Both find the leftmost match and prefer the first alternative. */
export type GoRegexp = {
  readonly matches: (text: string) => boolean;
  readonly find: (text: string) => string;
  readonly replaceAll: (text: string, by: string) => string;
};

const posix: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\x00-\\x7f',
  blank: '\\t\\u{20}',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '\\x21-\\x7e',
  lower: 'a-z',
  print: '\\x20-\\x7e',
  punct: '\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e',
  space: '\\t\\n\\v\\f\\r\\u{20}',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

const perl: Readonly<Record<string, string>> = {
  d: '[0-9]',
  D: '[^0-9]',
  s: '[\\t\\n\\f\\r\\u{20}]',
  S: '[^\\t\\n\\f\\r\\u{20}]',
  w: '[0-9A-Za-z_]',
  W: '[^0-9A-Za-z_]',
};

const named: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

const codePoint = (code: number): string => `\\u{${code.toString(16)}}`;
/** A character that stands for itself, outside of a class and in one. */
const literal = (char: string): string => (/^[A-Za-z0-9_]$/.test(char) ? char : codePoint(char.codePointAt(0) ?? 0));

class Translator {
  readonly #pattern: string;
  #at = 0;
  #dotAll = false;
  flags = 'v';

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  run(): string {
    this.#leadingFlags();
    let out = '';
    while (this.#at < this.#pattern.length) out += this.#one();
    return out;
  }

  #fail(what: string): never {
    throw new GoError(`error parsing regexp: ${what}`);
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#pattern);
    if (found === null) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }

  #leadingFlags(): void {
    const flags = this.#take(/\(\?([a-zA-Z]+)\)/y)?.[1] ?? '';
    for (const flag of flags) {
      if (flag === 's') this.#dotAll = true;
      else if (flag === 'i' || flag === 'm') this.flags += flag;
      else this.#fail(`pointsman knows no flag (?${flag})`);
    }
  }

  #one(): string {
    const group = this.#take(/\(\?(P?<[A-Za-z0-9_]+>|:)/y);
    if (group !== undefined) return `(?${(group[1] ?? '').replace(/^P/, '')}`;
    if (this.#pattern.startsWith('(?', this.#at)) {
      const rest = this.#pattern.slice(this.#at, this.#at + 4);
      this.#fail(`invalid or unsupported Perl syntax: \`${rest}\`; flags can stand first only`);
    }
    const repeat = this.#take(/\{\d+(,\d*)?\}|[()|*+?^$]/y);
    if (repeat !== undefined) return repeat[0];
    const char = String.fromCodePoint(this.#pattern.codePointAt(this.#at) ?? 0);
    if (char === '\\') return this.#escape(false);
    if (char === '[') return this.#class();
    this.#at += char.length;
    if (char === '.') return this.#dotAll ? '[\\s\\S]' : '[^\\n]';
    return literal(char);
  }

  #escape(inClass: boolean): string {
    const quoted = this.#take(/\\Q([\s\S]*?)(\\E|$)/y);
    if (quoted !== undefined) return [...(quoted[1] ?? '')].map(literal).join('');
    const property = this.#take(/\\([pP])(?:\{(\^?)([A-Za-z_]+)\}|([A-Z]))/y);
    if (property !== undefined) {
      const [, letter = 'p', negated, long, short] = property;
      const name = short ?? long ?? '';
      const kind = (letter === 'P') !== (negated === '^') ? 'P' : 'p';
      return `\\${kind}{${name.length <= 2 ? name : `Script=${name}`}}`;
    }
    const code = this.#take(/\\(?:x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]+)\}|(0[0-7]{0,2}|[1-7][0-7]{1,2}))/y);
    if (code !== undefined) {
      const [, two, many, octal] = code;
      return codePoint(octal === undefined ? Number.parseInt(two ?? many ?? '', 16) : Number.parseInt(octal, 8));
    }
    const char = this.#pattern.charAt(this.#at + 1);
    this.#at += 2;
    const known = perl[char];
    if (known !== undefined) return known;
    const control = named[char];
    if (control !== undefined) return codePoint(control);
    if (!inClass && char === 'A') return '(?<![\\s\\S])';
    if (!inClass && char === 'z') return '(?![\\s\\S])';
    if (!inClass && (char === 'b' || char === 'B')) return `\\${char}`;
    if (char === '') this.#fail('trailing backslash at end of expression: ``');
    if (/[A-Za-z0-9]/.test(char)) this.#fail(`invalid escape sequence: \`\\${char}\``);
    return literal(char);
  }

  #class(): string {
    const start = this.#at;
    let out = this.#take(/\[\^?/y)?.[0] ?? '[';
    for (let first = true; ; first = false) {
      if (this.#at >= this.#pattern.length) this.#fail(`missing closing ]: \`${this.#pattern.slice(start)}\``);
      if (!first && this.#take(/\]/y) !== undefined) return `${out}]`;
      const ofPosix = this.#take(/\[:(\^?)([a-z]+):\]/y);
      if (ofPosix !== undefined) {
        const set = posix[ofPosix[2] ?? ''] ?? this.#fail(`invalid character class range: \`${ofPosix[0]}\``);
        out += `[${ofPosix[1]}${set}]`;
        continue;
      }
      out += this.#member();
      if (this.#take(/-(?=[^\]])/y) !== undefined) out += `-${this.#member()}`;
    }
  }

  #member(): string {
    if (this.#pattern[this.#at] === '\\') return this.#escape(true);
    const char = String.fromCodePoint(this.#pattern.codePointAt(this.#at) ?? 0);
    this.#at += char.length;
    return literal(char);
  }
}

/** Compiles a regular expression of Go. Throws GoError for what Go refuses, and for what JavaScript cannot do. */
export function goRegexp(pattern: string): GoRegexp {
  const translator = new Translator(pattern);
  const source = translator.run();
  let once: RegExp;
  try {
    once = new RegExp(source, translator.flags);
  } catch (error) {
    throw new GoError(`error parsing regexp: \`${pattern}\`: ${error instanceof Error ? error.message : ''}`);
  }
  const all = new RegExp(once, `${once.flags}g`);
  return {
    matches: (text) => once.test(text),
    find: (text) => once.exec(text)?.[0] ?? '',
    replaceAll: (text, by) => {
      let out = '';
      let end = 0;
      let before = -1;
      for (const match of text.matchAll(all)) {
        // Go ignores an empty match right after another one.
        if (match[0] === '' && match.index === before) continue;
        out += text.slice(end, match.index) + expanded(by, match);
        end = match.index + match[0].length;
        before = end;
      }
      return out + text.slice(end);
    },
  };
}

/** `$1`, `${1}`, `$name`; `$1x` is the group `1x`. A group that is not there is empty. */
const expanded = (by: string, match: RegExpExecArray): string =>
  by.replace(/\$(?:\$|\{([\p{L}\p{N}_]+)\}|([\p{L}\p{N}_]+))/gu, (all, braced?: string, bare?: string) => {
    const name = braced ?? bare;
    if (name === undefined) return all === '$$' ? '$' : all;
    return (/^[0-9]+$/.test(name) ? match[Number(name)] : match.groups?.[name]) ?? '';
  });
