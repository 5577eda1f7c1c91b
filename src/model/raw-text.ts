import { isUtf8 } from 'node:buffer';

/**
 * Texts that may contain bytes that are not UTF-8. Such a byte is kept as one code unit from U+DC80 to U+DCFF that is not
 * part of a pair, as Python's `surrogateescape` keeps it. Decoded UTF-8 never contains one, so `rawBytes` gives back exactly
 * the bytes that `rawText` read.
 */
const firstKept = 0xdc00;

/** Reads bytes as text and keeps those that are not UTF-8. */
export function rawText(bytes: Buffer, start = 0): string {
  const text = bytes.toString('utf8', start);
  if (!text.includes('\ufffd')) return text;
  const rest = bytes.subarray(start);
  return isUtf8(rest) ? text : keepBytes(rest);
}

function keepBytes(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0;
    const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const sequence = bytes.subarray(at, at + size);
    const isText = first < 0x80 || (sequence.length === size && isUtf8(sequence));
    text += isText ? sequence.toString('utf8') : String.fromCharCode(firstKept + first);
    at += isText ? size : 1;
  }
  return text;
}

/** The bytes of a text that `rawText` read. */
export function rawBytes(text: string): Buffer {
  if (!/[\udc80-\udcff]/u.test(text)) return Buffer.from(text);
  const parts = text.split(/([\udc80-\udcff])/u);
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 0 ? Buffer.from(part) : Buffer.of(part.charCodeAt(0) - firstKept))),
  );
}

/** The text with U+FFFD for each byte that is not UTF-8. */
export const withoutRawBytes = (text: string): string => text.replace(/[\udc80-\udcff]/gu, '\ufffd');
