import type { Instance } from '../model/instance.ts';
import type { Override } from '../model/override.ts';

/** Address, port, weight, state and times: they are short, and a change of one of them never needs more room. */
const fixedBytes = 64;

const textBytes = (text: string | undefined): number => (text === undefined ? 0 : Buffer.byteLength(text));

/**
 * The bytes that an instance counts for in `--limit-total`. Its fields of a bounded length count alike whatever is in them, so an
 * instance can always change its state and its weight. Fields that pointsman does not know count for nothing: no one keeps them.
 */
export function instanceBytes({ address, version, zone, owner, meta }: Instance): number {
  let bytes = fixedBytes + address.host.length + textBytes(version) + textBytes(zone) + textBytes(owner);
  for (const name in meta) bytes += name.length + textBytes(meta[name]);
  return bytes;
}

export const overrideBytes = ({ who, why }: Override): number => fixedBytes + textBytes(who) + textBytes(why);
