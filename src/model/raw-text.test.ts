import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rawBytes, rawText } from './raw-text.ts';

describe('a text with bytes that are not UTF-8', () => {
  test('gives back the bytes that were read', () => {
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
      fc
        .constantFrom(
          'fffd',
          'efbfbd',
          'c3a9',
          'e282ac',
          'f09f9880',
          '61',
          'eda080',
          'f0908080',
          'f48fbfbf',
          'f4908080',
          'c080',
          'e282',
          'f09f98',
        )
        .map((hex) => Buffer.from(hex, 'hex')),
    );
    fc.assert(
      fc.property(fc.array(chunk), (chunks) => {
        const bytes = Buffer.concat(chunks);
        expect(rawBytes(rawText(bytes)).toString('hex')).toBe(bytes.toString('hex'));
      }),
    );
  });

  test('is the same text as always when it is UTF-8', () => {
    const text = 'é \ufffd 😀 a';
    expect(rawText(Buffer.from(text))).toBe(text);
    expect(rawText(Buffer.from(`/${text}`), 1)).toBe(text);
  });

  test('gives back a large value of bytes and characters of any kind', () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i * 31 + (i >> 7)) & 0xff));
    expect(rawBytes(rawText(bytes)).equals(bytes)).toBe(true);
    const mixed = Buffer.concat([bytes, Buffer.from('é😀€'.repeat(1000)), Buffer.of(0xf0, 0x9f)]);
    expect(rawBytes(rawText(mixed)).equals(mixed)).toBe(true);
    expect(rawText(mixed)).toContain('é😀€é');
  });

  test('tells two keys apart that differ in such a byte only', () => {
    expect(rawText(Buffer.from([0x61, 0xff]))).not.toBe(rawText(Buffer.from([0x61, 0xfe])));
  });
});
