import { type Bytes, mapRunes } from '../../go-template/bytes.ts';

/** A mapping to one character: Go has no other, so that `ß` stays `ß`. */
const simple = (from: string, to: string): string =>
  to.length === from.length || [...to].length === [...from].length ? to : from;

/** Greek letters with a iota below, which JavaScript maps to two letters: Go maps them to one, `ᾳ` to `ᾼ`. */
function withIota(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code >= 0x1f80 && code <= 0x1faf && (code & 8) === 0) return String.fromCodePoint(code + 8);
  return code === 0x1fb3 || code === 0x1fc3 || code === 0x1ff3 ? String.fromCodePoint(code + 9) : character;
}

/** strings.ToLower. */
export const toLower = (text: Bytes): Bytes =>
  mapRunes(text, (character) => (character === 'İ' ? 'i' : simple(character, character.toLowerCase())));

/** strings.ToUpper. */
export const toUpper = (text: Bytes): Bytes =>
  mapRunes(text, (character) => simple(withIota(character), withIota(character).toUpperCase()));
