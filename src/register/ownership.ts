import { formatAddress } from '../model/address.ts';
import { type Instance, parseInstance } from '../model/instance.ts';

/** The owner of a key under which we want to announce. */
export type CurrentOwner =
  /** This process, or one with the same address that started before it. We replace its value. */
  | { readonly kind: 'predecessor' }
  /**
   * A process with the same address that started after this one. It keeps the key for as long as it lives, so that two
   * living processes never take the key from each other in turn.
   */
  | { readonly kind: 'successor'; readonly address: string; readonly started: number | undefined }
  /** A process at another address; its lease runs out when it is gone. */
  | { readonly kind: 'another'; readonly address: string }
  /** No process: the value has no owner and never runs out. */
  | { readonly kind: 'hand'; readonly value: string };

/**
 * Finds the owner of the value in the key of `ours`. `wasPresent`: whether ours has been in the registry before. That matters only
 * for a value without a start (an older register wrote it): a process that starts replaces it, and a process that lost its key
 * to it does not.
 */
export function currentOwnerOf(ours: Instance, value: string, wasPresent: boolean): CurrentOwner {
  const parsed = parseInstance(ours.service, ours.id, value);
  if (!parsed.ok || parsed.value.owner === undefined) return { kind: 'hand', value };
  const present = parsed.value;
  const address = formatAddress(present.address);
  if (present.owner === ours.owner) return { kind: 'predecessor' };
  if (address !== formatAddress(ours.address)) return { kind: 'another', address };
  const { started } = present;
  const later = started === undefined ? wasPresent : startedAfter(present, ours);
  return later ? { kind: 'successor', address, started } : { kind: 'predecessor' };
}

/** A total order, also for two processes that started in the same millisecond. */
function startedAfter(one: Instance, other: Instance): boolean {
  const [a, b] = [one.started ?? 0, other.started ?? 0];
  return a === b ? (one.owner ?? '') > (other.owner ?? '') : a > b;
}

/**
 * The start that a process claims instead when a value of its own address claims one that is still to come: a clock was set
 * back. Undefined when there is no such reason.
 */
export function startBeyond(holder: CurrentOwner, nowMs: number): number | undefined {
  if (holder.kind !== 'successor' || holder.started === undefined || holder.started <= nowMs) return undefined;
  return Number.isSafeInteger(holder.started + 1) ? holder.started + 1 : undefined;
}
