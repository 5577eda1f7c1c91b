import { mkdir, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { errorCode } from '../../model/error-code.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { LeaseReference } from './journal-record.ts';
import type { StoredEntry } from './journal-state.ts';
import { directoryFault, type Ledger } from './ledger.ts';
import { type DirectoryPaths, parseKeyPath } from './paths.ts';
import { Slots } from './slots.ts';
import {
  type FoundFile,
  findStamp,
  mostValueBytes,
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
  /** Looks at what stands there; throws a Fault when it must not be replaced, answers false to leave it silently. */
  readonly may: (standing: StoredEntry | undefined) => boolean;
};

// A writer appends its record and then renames its file: a few ms, or 250 ms on a machine in trouble. Until then a
// missing or older file says nothing; after that its writer is dead or stopped.
const graceMs = 250;
const filesAtOnce = 16;

/**
 * The files under the root. What pointsman writes goes to the journal first and then into the tree; what differs from the
 * journal was done by a hand, and is recorded there, so that it gets its place in the one order like everything else.
 */
export class DirectoryTree {
  readonly #parts: TreeParts;
  readonly #slots = new Slots(filesAtOnce);
  /** The stamp of the file last found (or put) in place for a key; absence of such a file means that a hand deleted it. */
  readonly #inPlace = new Map<string, { readonly entry: string; readonly file: string }>();
  readonly #doubts = new Map<string, { readonly what: string; readonly timer: NodeJS.Timeout; due: boolean }>();
  readonly #warned = new Map<string, string>();
  #closed = false;

  constructor(parts: TreeParts) {
    this.#parts = parts;
  }

  /** Resolves with the revision, when the file is in its place; undefined when `may` declined. */
  async put({ key, value, lease, may }: TreePut): Promise<number | undefined> {
    const { paths, ledger, wall, random, nonce } = this.#parts;
    requireKey(key);
    if (Buffer.byteLength(value) > mostValueBytes) {
      throw new Fault('usage', 'the value has more than 1.5 MiB', { where: key });
    }
    return this.#slots.run(key, async () => {
      const path = join(paths.root, key);
      try {
        await this.#reconcile(key);
        // Fails before anything is recorded when a part of the path is a file.
        await mkdir(dirname(path), { recursive: true });
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

  /** Resolves with the revision, or undefined when there was nothing, or nothing that `may` lets go. */
  async remove(key: string, may: (standing: StoredEntry) => boolean): Promise<number | undefined> {
    requireKey(key);
    return this.#slots.run(key, async () => {
      try {
        await this.#reconcile(key);
        const at = this.#parts.ledger.commit((state) => {
          const standing = state.entries.get(key);
          return standing !== undefined && may(standing) ? { op: 'delete', key } : undefined;
        });
        if (at !== undefined) await this.#dropFile(key);
        return at;
      } catch (error) {
        throw directoryFault(error, join(this.#parts.paths.root, key));
      }
    });
  }

  /** Removes the files of keys that are no entries any more. */
  async drop(keys: Iterable<string>): Promise<void> {
    await Promise.all([...keys].map((key) => this.#slots.run(key, () => this.#dropFile(key))));
  }

  /** Compares one file with the journal, and records what a hand did. */
  async inspect(key: string): Promise<void> {
    if (!parseKeyPath(key).ok) return this.#warn(key, 'its name is none that a key can have');
    await this.#slots.run(key, () => this.#reconcile(key));
  }

  /**
   * Compares the files below a folder of the tree with the journal, reading only those that changed. Names each folder
   * before listing it.
   */
  async scan(folder = '', onFolder: (folder: string) => void = () => {}): Promise<void> {
    const found = new Map<string, string | undefined>();
    await this.#list(folder, found, onFolder);
    const { ledger } = this.#parts;
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
    if (folder === '') for (const key of this.#warned.keys()) if (!found.has(key)) this.#warned.delete(key);
  }

  /** Ends what waits; resolves when nothing touches the file system any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#doubts.values()) clearTimeout(timer);
    this.#doubts.clear();
    await this.#slots.idle();
  }

  async #moveIn(key: string, file: string, temporary: string): Promise<void> {
    const { ledger, paths, logger } = this.#parts;
    const path = join(paths.root, key);
    // The record must be on disk first: else a power cut could leave a leased value in the tree that nothing says is
    // leased, and that would look written by hand for ever.
    await ledger.sync();
    if (ledger.state().entries.get(key)?.file !== file) return;
    try {
      await rename(temporary, path).catch(async () => {
        await mkdir(dirname(path), { recursive: true });
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

  /** Unlinks the file of a deleted key, unless a hand has written something new there meanwhile. */
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
        if (this.#inPlace.get(key)?.entry === entry.file || this.#stillSo(key, `missing ${entry.file}`)) {
          this.#record(key, entry, undefined);
        }
        return;
      case 'unusable':
        this.#warn(key, found.reason);
        return;
      case 'value':
        this.#warned.delete(key);
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
      // An older value of ours. Its successor may be on its way; else the one who should have moved it in is dead.
      if (!this.#stillSo(key, `older ${found.file} ${entry?.file}`)) return;
      if (entry === undefined) void this.drop([key]);
      else void this.put({ ...entry, may: (standing) => standing?.file === entry.file }).catch(() => {});
      return;
    }
    // `echo x > file` empties the file first; half an edit should not be taken for the whole.
    if (value === '' && !this.#stillSo(key, `empty ${found.file}`)) return;
    this.#record(key, entry, { value, file: found.file });
  }

  /** Records what a hand did, if the entry is still the one that it was done to. */
  #record(key: string, entry: StoredEntry | undefined, written: { value: string; file: string } | undefined): void {
    const { ledger, logger } = this.#parts;
    try {
      // A folder that was moved away has lost no key: its journal is still open here, and would take the deletion.
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

  /** False at first; true once the same was so for the grace, for which this asks to be called again. */
  #stillSo(key: string, what: string): boolean {
    const doubt = this.#doubts.get(key);
    if (doubt?.what === what) {
      if (doubt.due) this.#doubts.delete(key);
      return doubt.due;
    }
    if (doubt !== undefined) clearTimeout(doubt.timer);
    const timer = setTimeout(() => {
      fresh.due = true;
      void this.inspect(key).catch(() => {});
    }, graceMs);
    const fresh = { what, timer, due: false };
    this.#doubts.set(key, fresh);
    return false;
  }

  async #list(
    folder: string,
    found: Map<string, string | undefined>,
    onFolder: (folder: string) => void,
  ): Promise<void> {
    const { paths } = this.#parts;
    onFolder(folder);
    const listing = await readdir(join(paths.root, folder), { withFileTypes: true }).catch((error: unknown) => {
      // What is not there, or has just gone, holds nothing.
      if (folder !== '' && errorCode(error) !== 'ENOENT') this.#warn(folder, `it cannot be listed: ${describe(error)}`);
      return [];
    });
    const files: string[] = [];
    for (const item of listing) {
      const key = folder === '' ? item.name : `${folder}/${item.name}`;
      // Hidden files and editors' backups are nobody's mistake: no warning.
      if (item.name.startsWith('.') || item.name.endsWith('~')) continue;
      if (!parseKeyPath(key).ok) {
        found.set(key, undefined);
        this.#warn(key, 'its name is none that a key can have');
      } else if (item.isDirectory()) await this.#list(key, found, onFolder);
      else files.push(key);
    }
    for (let start = 0; start < files.length; start += filesAtOnce) {
      const some = files.slice(start, start + filesAtOnce);
      const stamps = await Promise.all(some.map((key) => findStamp(join(paths.root, key))));
      for (const [index, key] of some.entries()) found.set(key, stamps[index]);
    }
  }

  #warn(key: string, reason: string): void {
    if (this.#warned.get(key) === reason) return;
    this.#warned.set(key, reason);
    this.#parts.logger.warn({ event: 'directory-entry-ignored', key, reason }, 'a file in the registry is ignored');
  }
}

function requireKey(key: string): void {
  const parsed = parseKeyPath(key);
  if (!parsed.ok) throw new Fault('usage', parsed.reason, { hint: 'a key is file names joined by "/"' });
}
