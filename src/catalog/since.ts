import type { Brand } from '../model/parsed.ts';
import { createdAt, type Entry } from '../registry/registry.ts';

/** When a service got its policy, in the registry's order of changes: a smaller one is earlier. */
export type Since = Brand<bigint, 'Since'>;

/** More than all revisions. */
const before = 2n ** 64n;

/**
 * An entry that is held because the registry was replaced has a revision of another order. It was there before anything that
 * the new registry has.
 */
export const sinceOf = (entry: Entry): Since =>
  (entry.held?.kind === 'replaced' ? createdAt(entry) - before : createdAt(entry)) as bigint as Since;

/** Sorts the earlier one first, and one that is not known last. */
export function bySince(a: Since | undefined, b: Since | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
  return a < b ? -1 : 1;
}
