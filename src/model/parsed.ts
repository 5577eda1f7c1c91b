declare const brand: unique symbol;

/** A `T` that only the parser named `B` makes, so that holding one proves that it was checked. */
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** The result of a parser: the value, or the reason why the text is none (a clause that fits after "key: "). */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

export const accepted = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const rejected = (reason: string): Parsed<never> => ({ ok: false, reason });

/**
 * Quotes untrusted text for a message: at most 64 characters of it, and those in printable ASCII. Escaping the rest shows
 * a Cyrillic "а" for what it is, and lets nothing steer a terminal.
 */
export function quote(text: string): string {
  return inAscii(JSON.stringify(shortened(text, 64)));
}

/** A key for a log or a person: as it is where it is harmless, escaped and cut where it is not. */
export function showKey(key: string): string {
  return inAscii(shortened(key, 256));
}

const shortened = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most)}...` : text);

const inAscii = (text: string): string =>
  text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
