/** DER, as far as a certificate request and the id of a certificate need it (ITU-T X.690). */

const length = (bytes: number): readonly number[] => {
  if (bytes < 0x80) return [bytes];
  const digits: number[] = [];
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return [0x80 + digits.length, ...digits];
};

/** An element: its tag, its length and its content. */
export function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag, ...length(body.length)]), body]);
}

export const sequence = (...content: readonly Uint8Array[]): Buffer => element(0x30, ...content);

/** An object identifier as its content's bytes in hexadecimal. */
export const objectId = (hex: string): Buffer => element(0x06, Buffer.from(hex, 'hex'));

type Element = { readonly tag: number; readonly content: Buffer /** The bytes after it. */; readonly rest: Buffer };

/** Reads the first element of these bytes; undefined when they have none. */
export function readElement(bytes: Buffer): Element | undefined {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) return undefined;
  const digits = first < 0x80 ? 0 : first - 0x80;
  if (digits > 4 || bytes.length < 2 + digits) return undefined;
  const size = digits === 0 ? first : bytes.readUIntBE(2, digits);
  const begin = 2 + digits;
  if (bytes.length < begin + size) return undefined;
  return { tag, content: bytes.subarray(begin, begin + size), rest: bytes.subarray(begin + size) };
}
