/**
 * A string as Go has it: each character is one byte, 0 to 255. Length, comparison and slices are exact for any file,
 * also for one that is not UTF-8. `bytesOf` and `textOf` convert at the edges.
 */
export type Bytes = string;

const ascii = /^[\x00-\x7f]*$/;

/** The UTF-8 bytes of a text. */
export const bytesOf = (text: string): Bytes =>
  ascii.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');

/** The text of UTF-8 bytes. Invalid bytes become U+FFFD. */
export const textOf = (bytes: Bytes): string =>
  ascii.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');

/** A code point, and the number of bytes that it takes. Invalid UTF-8 is U+FFFD in one byte. */
export type Rune = { readonly rune: number; readonly size: number };

const invalid: Rune = { rune: 0xfffd, size: 1 };

/** The code point at an index. */
export function runeAt(bytes: Bytes, at: number): Rune {
  const first = bytes.charCodeAt(at);
  if (first < 0x80) return { rune: first, size: 1 };
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + size > bytes.length) return invalid;
  let rune = first & (0xff >> (size + 1));
  for (let i = 1; i < size; i++) {
    const next = bytes.charCodeAt(at + i);
    if ((next & 0xc0) !== 0x80) return invalid;
    rune = (rune << 6) | (next & 0x3f);
  }
  const least = size === 4 ? 0x10000 : size === 3 ? 0x800 : 0x80;
  const surrogate = rune >= 0xd800 && rune <= 0xdfff;
  return rune < least || rune > 0x10ffff || surrogate ? invalid : { rune, size };
}

/** All code points. */
export function runesOf(bytes: Bytes): number[] {
  const runes: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { rune, size } = runeAt(bytes, at);
    runes.push(rune);
    at += size;
  }
  return runes;
}

/** The bytes of each code point; of invalid UTF-8 as they are. */
export function charactersOf(bytes: Bytes): Bytes[] {
  const characters: Bytes[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { size } = runeAt(bytes, at);
    characters.push(bytes.slice(at, at + size));
    at += size;
  }
  return characters;
}

/** UTF-8, with U+FFFD for each byte that is not. */
export const validBytes = (bytes: Bytes): Bytes =>
  ascii.test(bytes) ? bytes : runesOf(bytes).map(bytesOfRune).join('');

/** The bytes of a code point. What is none becomes U+FFFD. */
export function bytesOfRune(rune: number): Bytes {
  const valid = rune >= 0 && rune <= 0x10ffff && !(rune >= 0xd800 && rune <= 0xdfff);
  return bytesOf(String.fromCodePoint(valid ? rune : 0xfffd));
}

/** How many code points there are. */
export const runeCount = (bytes: Bytes): number => (ascii.test(bytes) ? bytes.length : runesOf(bytes).length);

/** Each code point mapped to another, as strings.Map does. */
export const mapRunes = (bytes: Bytes, map: (rune: string) => string): Bytes =>
  ascii.test(bytes)
    ? map(bytes)
    : runesOf(bytes)
        .map((rune) => bytesOf(map(String.fromCodePoint(rune))))
        .join('');

/** Whether Go prints a code point as it is (unicode.IsPrint). */
export const isPrint = (rune: number): boolean =>
  rune === 0x20 || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(String.fromCodePoint(rune));
