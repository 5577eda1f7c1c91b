import { type Bytes, runeCount } from './bytes.ts';

/** The flags, width and precision of a verb. */
export type Format = {
  readonly minus: boolean;
  readonly plus: boolean;
  readonly sharp: boolean;
  readonly space: boolean;
  readonly zero: boolean;
  /** `%+v` names the fields of structs. */
  readonly plusV: boolean;
  /** `%#v` prints Go's syntax. */
  readonly sharpV: boolean;
  readonly width: number | undefined;
  readonly precision: number | undefined;
};

/** A verb without flags. */
export const bare: Format = {
  ...{ minus: false, plus: false, sharp: false, space: false, zero: false, plusV: false, sharpV: false },
  ...{ width: undefined, precision: undefined },
};

/** Fills a text up to the width. */
export function pad(text: Bytes, { width = 0, minus, zero }: Format): Bytes {
  const missing = width === 0 ? 0 : width - runeCount(text);
  if (missing <= 0) return text;
  if (minus) return text + ' '.repeat(missing);
  return (zero ? '0' : ' ').repeat(missing) + text;
}

export const padSpaces = (text: Bytes, format: Format): Bytes => pad(text, { ...format, zero: false });

/** What a verb makes of a value; undefined where the verb does not fit. */
export type Verb = Bytes | undefined;
