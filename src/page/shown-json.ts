import { printable } from '../model/printable.ts';

// An escape in JSON that may stand for such a character; of the others, none can.
const escaped = /\\[^"\\/]/;

/**
 * Reads JSON whose texts are to be shown: none of them hides or reorders what is around it. Control characters, bidi and zero
 * width are seen as escapes. To look at each text takes long, so it is done only if there is something to find.
 */
export const parseShown = (json: string) =>
  escaped.test(json) || printable(json) !== json
    ? JSON.parse(json, (_, value: unknown) => (typeof value === 'string' ? printable(value) : value))
    : JSON.parse(json);
