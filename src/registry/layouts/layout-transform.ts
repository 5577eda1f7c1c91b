import type { Revision } from '../../model/revision.ts';
import type { Change, Entry, RegistryEvent } from '../registry.ts';
import type { Layout } from './layout.ts';

/** A foreign entry that is no instance and should be one. Where its key held a good value before, that stands. */
export type LayoutRejection = { readonly key: string; readonly reason: string; readonly revision: Revision };

export type Transformed = {
  readonly event: RegistryEvent;
  readonly rejected: readonly LayoutRejection[];
};

/**
 * Turns what a registry says of a foreign tree into what it would say if the tree had our layout. Each event becomes
 * exactly one, with the same revision, so that following stays without a gap. Several foreign keys may stand for one
 * instance; then the first of them by name counts, whichever came first.
 */
export class LayoutTransform {
  readonly #layout: Layout;
  /** For each key of ours the foreign entries that stand for it, mapped. */
  readonly #candidates = new Map<string, Map<string, Entry>>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  take(event: RegistryEvent): Transformed {
    switch (event.kind) {
      case 'snapshot':
        return this.#snapshot(event);
      case 'changes':
        return this.#changes(event);
      case 'progress':
      case 'connected':
      case 'disconnected':
        return { event, rejected: [] };
    }
  }

  #snapshot(event: Extract<RegistryEvent, { kind: 'snapshot' }>): Transformed {
    const rejected: LayoutRejection[] = [];
    const before = new Map(this.#candidates);
    this.#candidates.clear();
    for (const entry of event.entries.values()) {
      const rejection = this.#put(entry);
      if (rejection === undefined) continue;
      rejected.push(rejection);
      const key = this.#keyOf(entry.key);
      const lastGood = key === undefined ? undefined : before.get(key)?.get(entry.key);
      if (lastGood !== undefined) this.#add(entry.key, lastGood);
    }
    const entries = new Map<string, Entry>();
    for (const key of this.#candidates.keys()) {
      const entry = this.#effective(key);
      if (entry !== undefined) entries.set(key, entry);
    }
    return { event: { ...event, entries }, rejected };
  }

  #changes(event: Extract<RegistryEvent, { kind: 'changes' }>): Transformed {
    const rejected: LayoutRejection[] = [];
    const changes: Change[] = [];
    for (const change of event.changes) {
      const foreign = change.kind === 'put' ? change.entry.key : change.key;
      const key = this.#keyOf(foreign);
      const before = key === undefined ? undefined : this.#effective(key);
      if (change.kind === 'put') {
        const rejection = this.#put(change.entry);
        if (rejection !== undefined) rejected.push(rejection);
      } else if (key !== undefined) this.#delete(key, foreign);
      if (key === undefined) continue;
      const after = this.#effective(key);
      if (after === before) continue;
      const at = change.kind === 'put' ? change.entry.revision : change.revision;
      // An entry that comes forward because another went is older than this change of the key.
      changes.push(
        after === undefined
          ? { kind: 'delete', key, revision: at }
          : { kind: 'put', entry: { ...after, revision: at } },
      );
    }
    if (changes.length === 0) return { event: { kind: 'progress', revision: event.revision }, rejected };
    return { event: { ...event, changes }, rejected };
  }

  #put(entry: Entry): LayoutRejection | undefined {
    const mapped = this.#layout.map(entry.key, entry.value);
    switch (mapped.kind) {
      case 'instance':
        this.#add(entry.key, { ...entry, key: mapped.key, value: mapped.value });
        return undefined;
      case 'ignored':
        return undefined;
      case 'rejected':
        return { key: entry.key, reason: mapped.reason, revision: entry.revision };
    }
  }

  #add(foreign: string, entry: Entry): void {
    const candidates = this.#candidates.get(entry.key) ?? new Map<string, Entry>();
    candidates.set(foreign, entry);
    this.#candidates.set(entry.key, candidates);
  }

  #delete(key: string, foreign: string): void {
    const candidates = this.#candidates.get(key);
    candidates?.delete(foreign);
    if (candidates?.size === 0) this.#candidates.delete(key);
  }

  #effective(key: string): Entry | undefined {
    const candidates = this.#candidates.get(key);
    if (candidates === undefined) return undefined;
    let first: string | undefined;
    for (const foreign of candidates.keys()) if (first === undefined || foreign < first) first = foreign;
    return first === undefined ? undefined : candidates.get(first);
  }

  #keyOf(foreign: string): string | undefined {
    const mapped = this.#layout.mapKey(foreign);
    return mapped.ok ? mapped.value : undefined;
  }
}
