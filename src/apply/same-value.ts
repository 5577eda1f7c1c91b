import { isDeepStrictEqual } from 'node:util';
import { areaOfKey } from '../model/key.ts';

/**
 * Whether two values of a key mean the same. Blanks and the order of names make no difference in JSON. A free value under `keys/`
 * is compared as it is: its meaning is known to its readers only.
 */
export function isSameValue(key: string, one: string, other: string): boolean {
  if (one === other) return true;
  if (areaOfKey(key) === 'keys') return false;
  const [first, second] = [jsonOf(one), jsonOf(other)];
  return first !== undefined && second !== undefined && isDeepStrictEqual(first.json, second.json);
}

function jsonOf(text: string): { readonly json: unknown } | undefined {
  try {
    return { json: JSON.parse(text) };
  } catch {
    return undefined;
  }
}
