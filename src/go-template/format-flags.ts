import { type Bytes, runeCount } from './bytes.ts';

/** The flags, width and precision of a verb. */
export type Format = {
  readonly minus: boolean;
  readonly plus: boolean;
  readonly sharp: boolean;
  readonly space: boolean;
  readonly zero: boolean;
  readonly width: number | undefined;
  readonly precision: number | undefined;
};

/** A verb without flags. */
export const bare: Format = {
  minus: false,
  plus: false,
  sharp: false,
  space: false,
  zero: false,
  width: undefined,
  precision: undefined,
};

/** Fills a text up to the width. */
export function pad(text: Bytes, { width, minus, zero }: Format): Bytes {
  const missing = (width ?? 0) - runeCount(text);
  if (missing <= 0) return text;
  if (minus) return text + ' '.repeat(missing);
  return (zero ? '0' : ' ').repeat(missing) + text;
}

/** A number with its sign: zeros of a width stand behind the sign. */
export function padNumber(sign: string, digits: string, format: Format): Bytes {
  const missing = (format.width ?? 0) - sign.length - digits.length;
  if (format.zero && !format.minus && missing > 0) return sign + '0'.repeat(missing) + digits;
  return pad(sign + digits, { ...format, zero: false });
}

export const signOf = (negative: boolean, { plus, space }: Format): string =>
  negative ? '-' : plus ? '+' : space ? ' ' : '';

/** What a verb makes of a value; undefined where the verb does not fit. */
export type Verb = Bytes | undefined;
