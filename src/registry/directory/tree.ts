import { rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { makeFolder } from '../../fs/make-folder.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { describe, Fault } from '../../model/fault.ts';
import { revision } from '../../model/revision.ts';
import { Slots } from '../../waiting/serial-queue.ts';
import type { GuardedChange, TransactionResult } from '../registry.ts';
import { Grace } from './grace.ts';
import type { Draft, JournalState, LeaseReference, StoredEntry } from './journal-state.ts';
import { directoryFault, type Ledger } from './ledger.ts';
import { type DirectoryPaths, parseKeyPath } from './paths.ts';
import {
  type FoundFile,
  filesAtOnce,
  findStamp,
  listFiles,
  mostValueBytes,
  notAKey,
  readValueFile,
  withoutFinalNewline,
  writeTemporary,
} from './value-file.ts';

export type TreeParts = {
  readonly paths: DirectoryPaths;
  readonly ledger: Ledger;
  readonly logger: Logger;
  /** Wall clock, in ms. */
  readonly wall: () => number;
  readonly random: () => number;
  readonly nonce: () => string;
};

export type TreePut = {
  readonly key: string;
  readonly value: string;
  readonly lease: LeaseReference | undefined;
  /** Decides about the present entry: true replaces it, false leaves it silently, a Fault rejects the put. */
  readonly may: (present: StoredEntry | undefined) => boolean;
};

/**
 * The files under the root. pointsman writes a change to the journal first and then into the tree. A file that differs from
 * the journal was edited by a person: the tree records the edit in the journal, so that all changes have one order.
 */
export class DirectoryTree {
  readonly #parts: TreeParts;
  readonly #slots = new Slots(filesAtOnce);
  /** The stamp of the file last found (or put) in place for a key; absence of such a file means that a hand deleted it. */
  readonly #inPlace = new Map<string, { readonly entry: string; readonly file: string }>();
  readonly #grace = new Grace((key) => void this.inspect(key).catch(() => {}));
  readonly #warned = new OncePerReason();
  #closed = false;

  constructor(parts: TreeParts) {
    this.#parts = parts;
  }

  /** Resolves with the revision, when the file is in its place; undefined when `may` declined. */
  async put({ key, value, lease, may }: TreePut): Promise<number | undefined> {
    const { paths, ledger, wall, random, nonce } = this.#parts;
    requirePut(key, value);
    return this.#slots.run(key, async () => {
      const path = join(paths.root, key);
      try {
        await this.#reconcile(key);
        // Fails before anything is recorded when a part of the path is a file.
        await makeFolder(dirname(path));
        const temporary = join(paths.temporary, nonce());
        const file = await writeTemporary(temporary, value, wall(), random);
        try {
          const at = ledger.commit((state) =>
            may(state.entries.get(key))
              ? { op: 'put', key, value, file, ...(lease === undefined ? {} : { lease }) }
              : undefined,
          );
          if (at !== undefined) await this.#moveIn(key, file, temporary);
          return at;
        } finally {
          await unlink(temporary).catch(() => {});
        }
      } catch (error) {
        throw directoryFault(error, path);
      }
    });
  }

  /** Resolves with the revision, or undefined when there was no entry or `may` declined. */
  async remove(key: string, may: (present: StoredEntry) => boolean): Promise<number | undefined> {
    requireKey(key);
    return this.#slots.run(key, async () => {
      try {
        await this.#reconcile(key);
        const at = this.#parts.ledger.commit((state) => {
          const present = state.entries.get(key);
          return present !== undefined && may(present) ? { op: 'delete', key } : undefined;
        });
        if (at !== undefined) await this.#dropFile(key);
        return at;
      } catch (error) {
        throw directoryFault(error, join(this.#parts.paths.root, key));
      }
    });
  }

  /** Makes all changes in one revision, unless `changedSince` names one that somebody else made before. */
  async transact(
    changes: readonly GuardedChange[],
    changedSince: (state: JournalState) => readonly string[],
  ): Promise<TransactionResult> {
    const { paths, ledger, wall, random, nonce } = this.#parts;
    for (const { key, value } of changes) requirePut(key, value ?? '');
    const written = new Map<string, { readonly value: string; readonly file: string; readonly temporary: string }>();
    try {
      await Promise.all(
        changes.map(({ key, value }) =>
          this.#slots.run(key, async () => {
            await this.#reconcile(key);
            if (value === undefined) return;
            await makeFolder(dirname(join(paths.root, key)));
            const temporary = join(paths.temporary, nonce());
            written.set(key, { value, temporary, file: await writeTemporary(temporary, value, wall(), random) });
          }),
        ),
      );
      // After all folders were made: the key of one change may be a folder for another.
      await Promise.all([...written.keys()].map((key) => refuseFolder(key, join(paths.root, key))));
      let changed: readonly string[] = [];
      const drafts = changes.map(({ key }) => ({ key, put: written.get(key) }));
      const at = ledger.commit((state) => {
        changed = changedSince(state);
        return changed.length > 0 ? undefined : draftOf(drafts);
      });
      if (at === undefined) return { kind: 'changed', keys: changed };
      await Promise.all(
        drafts.map(({ key, put }) =>
          this.#slots.run(key, () =>
            put === undefined ? this.#dropFile(key) : this.#moveIn(key, put.file, put.temporary),
          ),
        ),
      );
      return { kind: 'done', revision: revision(BigInt(at)) };
    } catch (error) {
      throw directoryFault(error, paths.root);
    } finally {
      await Promise.all([...written.values()].map(({ temporary }) => unlink(temporary).catch(() => {})));
    }
  }

  /** Removes the files of keys that are no entries any more. */
  async drop(keys: Iterable<string>): Promise<void> {
    await Promise.all([...keys].map((key) => this.#slots.run(key, () => this.#dropFile(key))));
  }

  /** Compares one file with the journal, and records an edit by a person. */
  async inspect(key: string): Promise<void> {
    if (!parseKeyPath(key).ok) return this.#warn(key, notAKey);
    await this.#slots.run(key, () => this.#reconcile(key));
  }

  /**
   * Compares the files below a folder of the tree with the journal, reading only those that changed. Names each folder
   * before listing it.
   */
  async scan(folder = '', onFolder: (folder: string) => void = () => {}): Promise<void> {
    const { ledger, paths } = this.#parts;
    const onIgnored = (key: string, reason: string) => this.#warn(key, reason);
    const found = await listFiles(paths.root, folder, { onFolder, onIgnored });
    const { entries } = ledger.state();
    const inspections: Promise<void>[] = [];
    for (const [key, stamp] of found) {
      const entry = entries.get(key);
      const known = this.#inPlace.get(key);
      if (entry !== undefined && stamp === entry.file) {
        if (known?.file !== stamp) this.#inPlace.set(key, { entry: entry.file, file: stamp });
        continue;
      }
      if (entry !== undefined && stamp !== undefined && stamp === known?.file && known.entry === entry.file) continue;
      inspections.push(this.inspect(key));
    }
    const within = folder === '' ? '' : `${folder}/`;
    for (const key of entries.keys())
      if (key.startsWith(within) && !found.has(key)) inspections.push(this.inspect(key));
    await Promise.all(inspections);
    for (const key of this.#inPlace.keys()) if (!entries.has(key)) this.#inPlace.delete(key);
    if (folder === '') this.#warned.keepOnly(new Set(found.keys()));
  }

  /** Resolves when nothing touches the file system any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#grace.close();
    await this.#slots.idle();
  }

  async #moveIn(key: string, file: string, temporary: string): Promise<void> {
    const { ledger, paths, logger } = this.#parts;
    const path = join(paths.root, key);
    // The record must be on disk first: after a power cut the tree could have a leased value without the record of its lease,
    // which would look written by hand for ever.
    await ledger.sync();
    if (ledger.state().entries.get(key)?.file !== file) return;
    try {
      await rename(temporary, path).catch(async () => {
        await makeFolder(dirname(path));
        await rename(temporary, path);
      });
      this.#inPlace.set(key, { entry: file, file });
    } catch (error) {
      ledger.commit((state) => (state.entries.get(key)?.file === file ? { op: 'delete', key } : undefined));
      logger.warn(
        { event: 'directory-put-failed', key, reason: describe(error) },
        'a value could not be put in its place',
      );
      throw error;
    }
  }

  /** Unlinks the file of a deleted key, unless a person has written a new one meanwhile. */
  async #dropFile(key: string): Promise<void> {
    const path = join(this.#parts.paths.root, key);
    const state = this.#parts.ledger.state();
    if (state.entries.has(key)) return;
    const stamp = await findStamp(path);
    const alias = this.#inPlace.get(key)?.file;
    this.#inPlace.delete(key);
    if (stamp !== undefined && (state.isSuperseded(key, stamp) || stamp === alias)) await unlink(path).catch(() => {});
  }

  async #reconcile(key: string): Promise<void> {
    if (this.#closed) return;
    const { paths, ledger } = this.#parts;
    const path = join(paths.root, key);
    const stamp = await findStamp(path);
    const untouched = stamp === undefined ? undefined : ledger.state().entries.get(key);
    if (untouched !== undefined && untouched.file === stamp) {
      this.#inPlace.set(key, { entry: stamp, file: stamp });
      return;
    }
    const found = await readValueFile(path);
    const state = ledger.state();
    const entry = state.entries.get(key);
    switch (found.kind) {
      case 'missing':
        if (entry === undefined) return;
        if (this.#inPlace.get(key)?.entry === entry.file || this.#grace.isOver(key, `missing ${entry.file}`)) {
          this.#record(key, entry, undefined);
        }
        return;
      case 'unusable':
        this.#warn(key, found.reason);
        return;
      case 'value':
        this.#warned.isNew(key, undefined);
        this.#reconcileValue(key, found, entry, state.isSuperseded(key, found.file));
    }
  }

  #reconcileValue(
    key: string,
    found: Extract<FoundFile, { kind: 'value' }>,
    entry: StoredEntry | undefined,
    superseded: boolean,
  ): void {
    const value = withoutFinalNewline(found.value);
    if (entry !== undefined && (found.file === entry.file || value === withoutFinalNewline(entry.value))) {
      this.#inPlace.set(key, { entry: entry.file, file: found.file });
      return;
    }
    if (superseded) {
      // An older value of pointsman's. Its successor may arrive soon; after the grace its writer is dead.
      if (!this.#grace.isOver(key, `older ${found.file} ${entry?.file}`)) return;
      if (entry === undefined) void this.drop([key]);
      else void this.put({ ...entry, may: (present) => present?.file === entry.file }).catch(() => {});
      return;
    }
    // `echo x > file` empties the file first: an empty file may be half an edit.
    if (value === '' && !this.#grace.isOver(key, `empty ${found.file}`)) return;
    this.#record(key, entry, { value, file: found.file });
  }

  /** Records an edit by a person, if the entry is still the one that was edited. */
  #record(key: string, entry: StoredEntry | undefined, written: { value: string; file: string } | undefined): void {
    const { ledger, logger } = this.#parts;
    try {
      // A folder that was moved away has lost no key; its journal is still open here and would accept the deletion.
      if (written === undefined) ledger.verify();
      const at = ledger.commit((state) => {
        if (state.entries.get(key)?.file !== entry?.file) return undefined;
        return written === undefined ? { op: 'delete', key } : { op: 'put', key, ...written };
      });
      if (at === undefined) return;
      if (written === undefined) this.#inPlace.delete(key);
      else this.#inPlace.set(key, { entry: written.file, file: written.file });
      logger.info(
        { event: 'directory-hand-edit', key, revision: String(at), deleted: written === undefined },
        'changed by hand',
      );
    } catch (error) {
      this.#warn(key, `a change by hand cannot be recorded: ${describe(error)}`);
    }
  }

  #warn(key: string, reason: string): void {
    if (!this.#warned.isNew(key, reason)) return;
    this.#parts.logger.warn({ event: 'directory-entry-ignored', key, reason }, 'a file in the registry is ignored');
  }
}

function requireKey(key: string): void {
  const parsed = parseKeyPath(key);
  if (!parsed.ok) throw new Fault('usage', parsed.reason, { hint: 'a key is file names joined by "/"' });
}

/** A record in the journal must not be made for a file that cannot be put in its place. Rejects with Fault `usage`. */
async function refuseFolder(key: string, path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory() === true)
    throw new Fault('usage', 'it is a folder, which cannot have a value', { where: key });
}

function requirePut(key: string, value: string): void {
  requireKey(key);
  if (Buffer.byteLength(value) > mostValueBytes) {
    throw new Fault('usage', 'the value has more than 1.5 MiB', { where: key });
  }
}

type Written = { readonly value: string; readonly file: string };

type Change = { readonly key: string; readonly put: Written | undefined };

/** The record of one change is one that also versions of pointsman before `transaction` understand. */
function draftOf(changes: readonly Change[]): Draft {
  const [first] = changes;
  if (first === undefined || changes.length > 1) return { op: 'transaction', changes: changes.map(withoutTemporary) };
  const { key, put } = first;
  return put === undefined ? { op: 'delete', key } : { op: 'put', key, value: put.value, file: put.file };
}

const withoutTemporary = ({ key, put }: Change) =>
  put === undefined ? { key } : { key, put: { value: put.value, file: put.file } };
