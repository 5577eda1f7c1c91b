import * as v from 'valibot';
import { revision } from '../../model/revision.ts';
import type { Change, Entry } from '../registry.ts';

/** The lease that a key lives under, as each of its records carries it: nothing else has to be read to judge the key. */
export type LeaseReference = { readonly id: string; readonly ttlMs: number };

const revisionNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const lease = v.object({ id: v.string(), ttlMs: v.pipe(v.number(), v.minValue(1)) });
const stored = { key: v.string(), value: v.string(), file: v.string(), lease: v.optional(lease) };
const authored = { revision: revisionNumber, by: v.string() };

const schema = v.variant('op', [
  v.object({ op: v.literal('open'), cluster: v.string(), generation: revisionNumber, revision: revisionNumber }),
  v.object({ op: v.literal('keep'), revision: revisionNumber, created: v.optional(revisionNumber), ...stored }),
  v.object({ op: v.literal('put'), ...authored, ...stored }),
  v.object({ op: v.literal('delete'), ...authored, key: v.string() }),
  v.object({
    op: v.literal('transaction'),
    ...authored,
    changes: v.array(v.object({ key: v.string(), put: v.optional(v.object({ value: v.string(), file: v.string() })) })),
  }),
  v.object({ op: v.literal('revoke'), ...authored, lease: v.string() }),
  v.object({ op: v.literal('seal'), ...authored }),
]);

/**
 * One line of the journal. `open` is its first: who this registry is and at which revision the file begins. `keep` is an
 * entry carried over from the generation before. `transaction` puts and deletes keys without a lease, and
 * `revoke` deletes all keys of a lease, in one revision. `seal` ends the
 * file: the next generation continues it. `by` names the attempt, so that its author finds out whether it was taken.
 */
export type JournalRecord = v.InferOutput<typeof schema>;

type TransactionDraft = Omit<Extract<JournalRecord, { op: 'transaction' }>, 'revision' | 'by'>;

/** A change before it is appended, which gives it its revision and author. */
export type Draft =
  | {
      readonly op: 'put';
      readonly key: string;
      readonly value: string;
      readonly file: string;
      readonly lease?: LeaseReference;
    }
  | { readonly op: 'delete'; readonly key: string }
  | { readonly op: 'transaction'; readonly changes: TransactionDraft['changes'] }
  | { readonly op: 'revoke'; readonly lease: string }
  | { readonly op: 'seal' };

/** Undefined for a line that a crash tore in the middle of an append: no process takes it for a record. */
export function parseRecordLine(line: string): JournalRecord | undefined {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return undefined;
  }
  const result = v.safeParse(schema, json);
  return result.success ? result.output : undefined;
}

/** The newline in front ends a line that a crashed writer left torn, so that it cannot swallow this one. */
export const formatRecordLine = (record: JournalRecord): string => `\n${JSON.stringify(record)}\n`;

export type StoredEntry = {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
  /** The revision at which the key was created; undefined if it was not changed since. */
  readonly created?: number | undefined;
  /** The stamp of the file that holds the value; see value-file.ts. */
  readonly file: string;
  readonly lease: LeaseReference | undefined;
};

export const toEntry = (stored: StoredEntry): Entry => ({
  key: stored.key,
  value: stored.value,
  revision: revision(BigInt(stored.revision)),
  ...(stored.created === undefined ? {} : { created: revision(BigInt(stored.created)) }),
  leased: stored.lease !== undefined,
  ...(stored.lease === undefined ? {} : { lease: stored.lease.id }),
});

// Enough to recognise the file of a writer that was stopped between its record and its rename.
const mostSuperseded = 10_000;

/**
 * The fold of a journal. Every process folds the same lines in the same order by the same rule, so all agree: a record
 * counts if and only if its revision is the next one. Two writers that append at once both name the same revision; the
 * first line in the file wins and the second is nothing for everybody, its author included, who then tries again. That is
 * a compare-and-append, and takes no lock that a dead process could leave behind.
 */
export class JournalState {
  cluster: string | undefined;
  generation = 0;
  /** Where this generation begins. */
  base = 0;
  revision = 0;
  sealed = false;
  readonly #entries = new Map<string, StoredEntry>();
  readonly #leases = new Map<string, { reference: LeaseReference; keys: Set<string> }>();
  readonly #superseded = new Set<string>();

  get entries(): ReadonlyMap<string, StoredEntry> {
    return this.#entries;
  }

  /** The leases that hold at least one key. */
  get leases(): ReadonlyMap<string, { readonly reference: LeaseReference; readonly keys: ReadonlySet<string> }> {
    return this.#leases;
  }

  /** Whether a file with this stamp was once the value of this key and is not any more. */
  isSuperseded(key: string, file: string): boolean {
    return this.#superseded.has(version(key, file));
  }

  /** Takes one record. Answers what it changed, or undefined when it does not count. */
  apply(record: JournalRecord): readonly Change[] | undefined {
    if (record.op === 'open') return this.#open(record);
    if (this.cluster === undefined || this.sealed) return undefined;
    if (record.op === 'keep') {
      this.#set({ ...record, lease: record.lease });
      return [];
    }
    if (record.revision !== this.revision + 1) return undefined;
    this.revision = record.revision;
    switch (record.op) {
      case 'put':
        return [this.#put(record, record.lease)];
      case 'delete':
        return this.#delete([record.key]);
      case 'transaction':
        return record.changes.flatMap(({ key, put }) =>
          put === undefined ? this.#delete([key]) : [this.#put({ key, ...put }, undefined)],
        );
      case 'revoke':
        return this.#delete([...(this.#leases.get(record.lease)?.keys ?? [])]);
      case 'seal':
        this.sealed = true;
        return [];
    }
  }

  #open(record: Extract<JournalRecord, { op: 'open' }>): readonly Change[] | undefined {
    // Two processes that make the journal at once may both write this line; the first counts.
    if (this.cluster !== undefined) return undefined;
    this.cluster = record.cluster;
    this.generation = record.generation;
    this.base = record.revision;
    this.revision = record.revision;
    return [];
  }

  #put({ key, value, file }: Pick<StoredEntry, 'key' | 'value' | 'file'>, lease: LeaseReference | undefined): Change {
    const before = this.#entries.get(key);
    const created = before && (before.created ?? before.revision);
    const stored = { key, value, file, lease, revision: this.revision, created };
    this.#set(stored);
    return { kind: 'put', entry: toEntry(stored) };
  }

  #set(stored: StoredEntry): void {
    this.#forget(stored.key);
    this.#entries.set(stored.key, stored);
    // A stamp that lives again (the file was put back) is not stale.
    this.#superseded.delete(version(stored.key, stored.file));
    if (stored.lease === undefined) return;
    const lease = this.#leases.get(stored.lease.id) ?? { reference: stored.lease, keys: new Set() };
    lease.keys.add(stored.key);
    this.#leases.set(stored.lease.id, lease);
  }

  #delete(keys: readonly string[]): readonly Change[] {
    const at = revision(BigInt(this.revision));
    return keys.filter((key) => this.#forget(key)).map((key) => ({ kind: 'delete', key, revision: at }));
  }

  #forget(key: string): boolean {
    const before = this.#entries.get(key);
    if (before === undefined) return false;
    this.#entries.delete(key);
    this.#superseded.add(version(key, before.file));
    if (this.#superseded.size > mostSuperseded) {
      for (const oldest of this.#superseded) {
        this.#superseded.delete(oldest);
        break;
      }
    }
    const lease = before.lease && this.#leases.get(before.lease.id);
    lease?.keys.delete(key);
    if (lease?.keys.size === 0) this.#leases.delete(lease.reference.id);
    return true;
  }
}

// By key, since a file that a hand moved to another name keeps its stamp.
const version = (key: string, file: string): string => `${file} ${key}`;
