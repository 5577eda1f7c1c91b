import { type Bytes, bytesOfRune, isPrint, runeAt } from './bytes.ts';

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

/** A code point as a Go constant. */
export const quoteRune = (rune: number, asciiOnly: boolean): Bytes => `'${escapeRune(rune, 2, 0, "'", asciiOnly)}'`;

/** Whether a text can stand between backquotes as it is: it is UTF-8, without control characters but the tab. */
export function canBackquote(text: Bytes): boolean {
  if (/[\x00-\x08\x0a-\x1f\x7f`]/.test(text)) return false;
  for (let at = 0; at < text.length; ) {
    const { rune, size } = runeAt(text, at);
    if ((rune === 0xfffd && size === 1) || rune === 0xfeff) return false;
    at += size;
  }
  return true;
}
