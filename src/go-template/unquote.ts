import { type Bytes, bytesOfRune, runeAt, validBytes } from './bytes.ts';

const simple: Readonly<Record<string, Bytes>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
};

const coded = /^(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/;

/** One escape sequence behind its backslash: its bytes, its code point, and the characters that it takes. */
function readEscape(
  text: Bytes,
  quote: string,
): { readonly bytes: Bytes; readonly rune: number; readonly size: number } {
  const first = text.charAt(0);
  const bytes = first === quote ? quote : simple[first];
  if (bytes !== undefined) return { bytes, rune: bytes.charCodeAt(0), size: 1 };
  const [all, octal, hex, short, long] = coded.exec(text) ?? [];
  if (all === undefined) throw new SyntaxError('invalid syntax');
  const digits = hex ?? short ?? long;
  const rune = digits === undefined ? Number.parseInt(octal ?? '', 8) : Number.parseInt(digits, 16);
  const isByte = octal !== undefined || hex !== undefined;
  if (isByte ? rune > 255 : rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
    throw new SyntaxError('invalid syntax');
  return { bytes: isByte ? String.fromCharCode(rune) : bytesOfRune(rune), rune, size: all.length };
}

/** The bytes of a string constant, with its quotes. Throws SyntaxError. */
export function unquote(constant: Bytes): Bytes {
  const inside = constant.slice(1, -1);
  if (constant.startsWith('`')) return inside.replaceAll('\r', '');
  if (!inside.includes('\\')) return validBytes(inside);
  let out = '';
  for (let at = 0; at < inside.length; ) {
    const next = inside.indexOf('\\', at);
    if (next === -1) return out + validBytes(inside.slice(at));
    const { bytes, size } = readEscape(inside.slice(next + 1), '"');
    out += validBytes(inside.slice(at, next)) + bytes;
    at = next + 1 + size;
  }
  return out;
}

/** The code point of a character constant, with its quotes. Throws SyntaxError. */
export function unquoteCharacter(constant: Bytes): number {
  const inside = constant.slice(1, -1);
  const { rune, size } = inside.startsWith('\\')
    ? withBackslash(readEscape(inside.slice(1), "'"))
    : runeAt(inside === '' ? "'" : inside, 0);
  if (inside === '' || inside.length !== size) throw new SyntaxError(`malformed character constant: ${constant}`);
  return rune;
}

const withBackslash = ({ rune, size }: { readonly rune: number; readonly size: number }) => ({ rune, size: size + 1 });
