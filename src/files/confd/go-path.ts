import { type Bytes, runeAt } from '../../go-template/bytes.ts';

/** path.Clean of Go: the shortest name of the same path. */
export function clean(path: Bytes): Bytes {
  if (path === '') return '.';
  const rooted = path.startsWith('/');
  const kept: Bytes[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (!rooted) kept.push('..');
  }
  return `${rooted ? '/' : ''}${kept.join('/')}` || '.';
}

/** path.Base of Go. */
export function base(path: Bytes): Bytes {
  if (path === '') return '.';
  const bare = path.replace(/\/+$/, '');
  return bare === '' ? '/' : bare.slice(bare.lastIndexOf('/') + 1);
}

/** path.Dir of Go. */
export const dir = (path: Bytes): Bytes => clean(path.slice(0, path.lastIndexOf('/') + 1));

const special = /[.+^$(){}|\\/[\]*?]/;
const literal = (char: Bytes): string => (special.test(char) ? `\\${char}` : char);
/** One character that is no slash: UTF-8 takes several bytes for it. */
const oneCharacter =
  '(?:[^/\\x80-\\xff]|[\\xc2-\\xdf][\\x80-\\xbf]|[\\xe0-\\xef][\\x80-\\xbf]{2}|[\\xf0-\\xf4][\\x80-\\xbf]{3}|[\\x80-\\xff])';

/** What a pattern of path.Match accepts; undefined where its syntax is wrong. */
export type PathPattern = { readonly prefix: Bytes; readonly matches: (path: Bytes) => boolean };

/** Compiles a pattern of path.Match: `*`, `?`, `[a-z]`, `[^a]` and `\` before a character that stands for itself. */
export function pathPattern(pattern: Bytes): PathPattern | undefined {
  let regex = '';
  let prefix: Bytes | undefined;
  let plain = '';
  for (let at = 0; at < pattern.length; ) {
    const char = pattern.charAt(at);
    if (char === '*' || char === '?') {
      prefix ??= plain;
      regex += char === '*' ? '[^/]*' : oneCharacter;
      at += 1;
    } else if (char === '[') {
      prefix ??= plain;
      const found = characterClass(pattern, at);
      if (found === undefined) return undefined;
      regex += found.regex;
      at = found.end;
    } else {
      if (char === '\\') at += 1;
      if (at >= pattern.length) return undefined;
      plain += pattern.charAt(at);
      regex += literal(pattern.charAt(at));
      at += 1;
    }
  }
  const whole = new RegExp(`^${regex}$`, 's');
  return { prefix: prefix ?? plain, matches: (path) => whole.test(path) };
}

/** The bytes of a code point as a regular expression has them. */
const escaped = (text: Bytes): string =>
  [...text].map((char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');

/** `[a-c]`: a class may accept a slash, too. */
function characterClass(pattern: Bytes, start: number): { readonly regex: string; readonly end: number } | undefined {
  let at = start + 1;
  const negated = pattern[at] === '^';
  if (negated) at += 1;
  const one = (): Bytes | undefined => {
    if (pattern[at] === '\\') at += 1;
    else if (pattern[at] === '-' || pattern[at] === ']') return undefined;
    if (at >= pattern.length) return undefined;
    const { size } = runeAt(pattern, at);
    at += size;
    return pattern.slice(at - size, at);
  };
  const accepted: string[] = [];
  while (pattern[at] !== ']' || accepted.length === 0) {
    const low = one();
    let high = low;
    if (pattern[at] === '-') {
      at += 1;
      high = one();
    }
    if (low === undefined || high === undefined) return undefined;
    if (low === high) accepted.push(escaped(low));
    // A range from or to what takes several bytes accepts nothing.
    else accepted.push(low.length + high.length === 2 && low < high ? `[${escaped(low)}-${escaped(high)}]` : '(?!)');
  }
  const any = accepted.join('|');
  return { regex: negated ? `(?!${any})(?:${oneCharacter}|/)` : `(?:${any})`, end: at + 1 };
}
