import type { Instance } from '../model/instance.ts';
import type { Override } from '../model/override.ts';

/** Address, port, weight, state and times: they are short, and a change of one of them never needs more room. */
const fixedBytes = 64;

/** Whether a string takes two bytes a character in memory instead of one. */
const isWide = (text: string): boolean => /[^\0-\xff]/.test(text);

/** The bytes of a text: in memory, or as UTF-8 where that is more. */
export const textBytes = (text: string, wide = isWide(text)): number =>
  Math.max(Buffer.byteLength(text), wide ? 2 * text.length : text.length);

/** The bytes of a free text as it is, or in the stored value where that is more: JSON writes some characters as six. */
function freeBytes(text: string | undefined, wide: boolean): number {
  if (text === undefined) return 0;
  const kept = JSON.stringify(text).slice(1, -1);
  return Math.max(textBytes(text, wide), textBytes(kept, wide));
}

/**
 * The bytes that an instance counts for in `--limit-total`. Its fields of a bounded length count alike whatever is in them, so an
 * instance can always change its state and its weight. Fields that pointsman does not know count for nothing: no one keeps them.
 * One character above U+00FF makes the whole value take two bytes a character.
 */
export function instanceBytes({ address, version, zone, owner, meta }: Instance): number {
  const wide = Object.values(meta).some(isWide);
  let bytes = fixedBytes * (wide ? 2 : 1);
  for (const word of [address.host, version, zone, owner]) bytes += textBytes(word ?? '', wide);
  for (const name in meta) bytes += textBytes(name, wide) + freeBytes(meta[name], wide);
  return bytes;
}

export function overrideBytes({ who, why }: Override): number {
  const wide = [who, why].some((text) => text !== undefined && isWide(text));
  return fixedBytes * (wide ? 2 : 1) + freeBytes(who, wide) + freeBytes(why, wide);
}
