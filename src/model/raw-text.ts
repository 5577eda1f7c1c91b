import { isUtf8 } from 'node:buffer';
import { endianness } from 'node:os';

/**
 * Texts that may contain bytes that are not UTF-8. Such a byte is kept as one code unit from U+DC80 to U+DCFF that is not
 * part of a pair, as Python's `surrogateescape` keeps it. Decoded UTF-8 never contains one, so `rawBytes` gives back exactly
 * the bytes that `rawText` read.
 */
const firstKept = 0xdc00;

/** Reads bytes as text and keeps those that are not UTF-8. */
export function rawText(bytes: Buffer, start = 0): string {
  const rest = start === 0 ? bytes : bytes.subarray(start);
  return isUtf8(rest) ? rest.toString('utf8') : keepBytes(rest);
}

function keepBytes(bytes: Buffer): string {
  // Each byte makes one code unit at most. Joining as many pieces of text takes ten times as long.
  const units = new Uint16Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0;
    if (first < 0x80) {
      units[length++] = first;
      at += 1;
      continue;
    }
    const size = sequenceSize(bytes, at, first);
    if (size === 0) {
      units[length++] = firstKept + first;
      at += 1;
      continue;
    }
    let rune = first & (0xff >> (size + 1));
    for (let i = 1; i < size; i++) rune = (rune << 6) | ((bytes[at + i] ?? 0) & 0x3f);
    if (rune >= 0x10000) {
      units[length++] = 0xd7c0 + (rune >> 10);
      units[length++] = 0xdc00 + (rune & 0x3ff);
    } else units[length++] = rune;
    at += size;
  }
  return textOfUnits(units.subarray(0, length));
}

/** How many bytes the UTF-8 of more than one byte at this place has; 0 when it is none. */
function sequenceSize(bytes: Buffer, at: number, first: number): number {
  if (first < 0xc2 || first > 0xf4) return 0;
  const size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (let i = 1; i < size; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1] ?? 0;
  // Longer than needed, a surrogate, or above U+10FFFF.
  if (first === 0xe0 && second < 0xa0) return 0;
  if (first === 0xed && second > 0x9f) return 0;
  if (first === 0xf0 && second < 0x90) return 0;
  return first === 0xf4 && second > 0x8f ? 0 : size;
}

function textOfUnits(units: Uint16Array): string {
  const bytes = Buffer.from(units.buffer, units.byteOffset, units.byteLength);
  // The text is read as the little end first.
  return (endianness() === 'LE' ? bytes : bytes.swap16()).toString('utf16le');
}

/** The bytes of a text that `rawText` read. */
export function rawBytes(text: string): Buffer {
  if (!/[\udc80-\udcff]/u.test(text)) return Buffer.from(text);
  const bytes = Buffer.allocUnsafe(text.length * 3);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) bytes[length++] = unit;
    else if (unit >= 0xdc80 && unit <= 0xdcff) bytes[length++] = unit - firstKept;
    else {
      // The low half of a pair is taken with the high one.
      const size = unit >= 0xd800 && unit <= 0xdbff && isLow(text.charCodeAt(at + 1)) ? 2 : 1;
      length += bytes.write(text.slice(at, at + size), length);
      at += size - 1;
    }
  }
  return bytes.subarray(0, length);
}

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/** The text with U+FFFD for each byte that is not UTF-8. */
export const withoutRawBytes = (text: string): string => text.replace(/[\udc80-\udcff]/gu, '\ufffd');
