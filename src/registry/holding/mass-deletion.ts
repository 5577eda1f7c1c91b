import type { Entry } from '../registry.ts';
import { isPartOfService, serviceOf } from './areas.ts';

/** How much may be deleted at once. Shares are from 0 to 1; undefined: any share may. */
export type DeletionBound = {
  /** Of the policies and instances of all services. */
  readonly allShare: number | undefined;
  /** Of the policy and the instances of one service. */
  readonly serviceShare: number | undefined;
  /** Fewer entries, deleted one by one, are never held. */
  readonly minimum: number;
  /** Deletions within this time count as at once, in ms. */
  readonly windowMs: number;
};

export const defaultDeletionBound: DeletionBound = {
  allShare: 1,
  serviceShare: undefined,
  minimum: 4,
  windowMs: 10_000,
};

/** Policies and instances that are there, of all services and of each. */
export type Sizes = { readonly all: number; readonly of: (service: string) => number };

/**
 * The entries among the deleted ones of one revision that may have been deleted by mistake. The end of a lease is no mistake:
 * it takes the keys of one lease and no other. The mass-loss guard decides about lost leases.
 */
export function deletedByHand(ofOneRevision: readonly Entry[]): readonly Entry[] {
  const owners = new Set(ofOneRevision.map(({ key, leased, lease }) => (leased ? (lease ?? key) : '')));
  const isEndOfLease = owners.size === 1 && !owners.has('');
  return isEndOfLease ? [] : ofOneRevision;
}

/**
 * The entries that a later list of the same history does not have, and that may have been deleted by mistake. The list does not
 * show when and how each was deleted. Without a policy or an instance of an operator among them, all of them may have left or
 * lost their leases one after the other, as when everything is stopped while the balancer restarts.
 */
export function missedDeletions(missing: readonly Entry[]): readonly Entry[] {
  return missing.some(({ key, leased }) => !leased && isPartOfService(key)) ? missing : [];
}

/**
 * The deletions within the window that go beyond the bound, with the reason. `atOnce`: the newest of them, which came in
 * one revision.
 */
export function beyondBound(
  recent: Iterable<Entry>,
  atOnce: readonly Entry[],
  present: Sizes,
  { allShare, serviceShare, minimum }: DeletionBound,
): { readonly reason: string; readonly entries: readonly Entry[] } | undefined {
  const all = [...recent];
  const isTooMuch = (lost: number, left: number, share: number | undefined, together: number): boolean =>
    share !== undefined && lost > 0 && lost >= share * (lost + left) && (lost >= minimum || together > 1);
  const parts = all.filter(({ key }) => isPartOfService(key)).length;
  if (isTooMuch(parts, present.all, allShare, atOnce.length)) {
    return { reason: `${parts} of ${parts + present.all} entries of all services were deleted at once`, entries: all };
  }
  if (serviceShare === undefined) return undefined;
  const touched = new Set(atOnce.flatMap(({ key }) => serviceOf(key) ?? []));
  const held = [...touched].flatMap((service) => {
    const isOf = ({ key }: Entry): boolean => serviceOf(key) === service;
    const entries = all.filter(isOf);
    const lost = entries.filter(({ key }) => isPartOfService(key)).length;
    return isTooMuch(lost, present.of(service), serviceShare, atOnce.filter(isOf).length) ? [{ service, entries }] : [];
  });
  if (held.length === 0) return undefined;
  const names = held.map(({ service }) => service).join(', ');
  const entries = held.flatMap((one) => one.entries);
  return { reason: `${entries.length} entries of ${names} were deleted at once`, entries };
}
