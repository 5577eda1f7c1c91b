declare const brand: unique symbol;

/** A `T` that only the parser named `B` makes, so that holding one proves that it was checked. */
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** What a parser answers: the word, or the reason why the text is not one (a clause that fits after "key: "). */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

export const accepted = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const refused = (reason: string): Parsed<never> => ({ ok: false, reason });

/** Quotes untrusted text for a message: control characters escaped, at most 64 characters of it. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
