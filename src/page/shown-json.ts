import { printable } from '../model/printable.ts';

/**
 * Reads JSON whose texts are to be shown: none of them hides or reorders what is around it. Control characters, bidi and zero
 * width are seen as escapes.
 */
export const parseShown = (json: string) =>
  JSON.parse(json, (_, value: unknown) => (typeof value === 'string' ? printable(value) : value));
