import type { Revision } from '../model/revision.ts';
import type { History } from './registry.ts';

/** A point in the history of a registry. */
export type HistoryPoint = {
  readonly cluster: string;
  readonly revision: Revision;
  /** raft's term, where there is one. A cluster that was restored begins with a low term again. */
  readonly term?: bigint;
};

/** How a snapshot at `now` relates to what was known before. */
export function historyOf(before: HistoryPoint | undefined, now: HistoryPoint): History {
  if (before === undefined) return { kind: 'first' };
  const replaced = (reason: string): History => ({ kind: 'replaced', reason });
  if (now.cluster !== before.cluster) return replaced('this is another cluster: its data was wiped or exchanged');
  if (now.revision < before.revision) {
    return replaced(`the revision went back from ${before.revision} to ${now.revision}: data was restored`);
  }
  if (now.term !== undefined && before.term !== undefined && now.term < before.term) {
    return replaced(`raft's term went back from ${before.term} to ${now.term}: data was restored`);
  }
  return { kind: 'continued' };
}
