import { formatAddress } from '../model/address.ts';
import { type Instance, parseInstance } from '../model/instance.ts';

/** Who holds a key that we want to announce under. */
export type Holder =
  /** This application from before: the same address, or the same process. It is replaced. */
  | { readonly kind: 'ourselves' }
  /** Another process; its lease runs out when it is gone. */
  | { readonly kind: 'another'; readonly address: string }
  /** No process: it never runs out, and whoever wrote it meant it. */
  | { readonly kind: 'hand'; readonly value: string };

/** Judges the value that stands in the key of `ours`. */
export function judgeHolder(ours: Instance, value: string): Holder {
  const standing = parseInstance(ours.service, ours.id, value);
  if (!standing.ok || standing.value.owner === undefined) return { kind: 'hand', value };
  const address = formatAddress(standing.value.address);
  const same = standing.value.owner === ours.owner || address === formatAddress(ours.address);
  return same ? { kind: 'ourselves' } : { kind: 'another', address };
}
