import {
  closeSync,
  fdatasync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../../model/fault.ts';
import type { Change } from '../registry.ts';
import { type Draft, formatRecordLine, type JournalRecord, JournalState, parseRecordLine } from './journal-state.ts';
import type { DirectoryPaths } from './paths.ts';

/** The result of reading on: the changes of whole revisions, or that they do not continue the state before. */
export type JournalProgress = { readonly continues: boolean; readonly changes: readonly Change[] };

export type JournalParts = {
  readonly paths: DirectoryPaths;
  /** A name that no other process has. */
  readonly author: string;
  /** The identity of the registry, should this make it. */
  readonly newCluster: string;
  /** A file this large that is mostly history is sealed, and its state carried over to a new one. */
  readonly sealBytes: number;
};

/** The journal's file is not in its folder any more: the registry was deleted, or moved away. */
export class JournalGone extends Error {}

const newline = 0x0a;
const chunkBytes = 256 * 1024;
const attempts = 64;

/**
 * The one order of all changes: a file of lines that every process appends to and reads.
 *
 * Reads and appends are synchronous on purpose. They are copies from and to the page cache (tens of microseconds for a
 * change), and between catching up and appending nothing else can run, so that an append almost never has to be repeated.
 * Relies on O_APPEND writes not interleaving, which holds for local file systems and not for NFS.
 */
export class Journal {
  readonly #paths: DirectoryPaths;
  readonly #author: string;
  #fd: number;
  #position = 0;
  #attempt = 0;
  #state: JournalState;
  #syncing: Promise<void> | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #writable = true;

  readonly #sealBytes: number;

  /** Opens the journal, and makes it (and its folder) where there is none. */
  constructor({ paths, author, newCluster, sealBytes }: JournalParts) {
    this.#paths = paths;
    this.#author = author;
    this.#sealBytes = sealBytes;
    this.#state = new JournalState();
    this.#fd = this.#openNewest(newCluster);
  }

  get state(): JournalState {
    return this.#state;
  }

  get writable(): boolean {
    return this.#writable;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Reads on to the end. Throws `JournalGone` when the file was removed. */
  catchUp(): JournalProgress {
    let continues = true;
    const changes: Change[] = [];
    for (;;) {
      this.#readOn((_, made) => changes.push(...made));
      if (!this.#state.sealed) break;
      const next = this.#followSeal();
      if (!next.continues) {
        continues = false;
        changes.length = 0;
      }
      changes.push(...next.changes);
    }
    if (fstatSync(this.#fd).nlink === 0) throw new JournalGone('the journal was deleted');
    return { continues, changes };
  }

  /** Throws `JournalGone` when the path leads to another file than ours (its folder was moved and made again). */
  verify(): void {
    const mine = fstatSync(this.#fd);
    try {
      if (statSync(this.#path(this.#state.generation)).ino === mine.ino) return;
    } catch {
      // Reported below: missing and different mean the same here.
    }
    this.catchUp();
    const now = statSync(this.#path(this.#state.generation), { throwIfNoEntry: false });
    if (now?.ino !== fstatSync(this.#fd).ino) throw new JournalGone('the journal was moved away');
  }

  /**
   * Appends the change that `decide` returns for the newest state. When another process appended first, `decide` is called
   * again. It may throw, or return undefined to change nothing. `progress` receives all that is read meanwhile.
   */
  commit(
    decide: (state: JournalState) => Draft | undefined,
    progress: (progress: JournalProgress) => void,
  ): number | undefined {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      progress(this.catchUp());
      const draft = decide(this.#state);
      if (draft === undefined) return undefined;
      const at = this.#append(draft, progress);
      if (at !== undefined) {
        if (draft.op !== 'seal') this.#sealIfLarge(progress);
        return at;
      }
    }
    throw new Error(`the journal was written to by others ${attempts} times in a row`);
  }

  /** Resolves when everything appended so far would survive a power cut. Callers at the same time share one sync. */
  async sync(): Promise<void> {
    await this.#syncing;
    this.#syncing ??= new Promise<void>((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error)));
    }).finally(() => {
      this.#syncing = undefined;
    });
    await this.#syncing;
  }

  #append(draft: Draft, progress: (progress: JournalProgress) => void): number | undefined {
    this.#attempt += 1;
    const by = `${this.#author}-${this.#attempt}`;
    const record: JournalRecord = { ...draft, revision: this.#state.revision + 1, by };
    writeSync(this.#fd, formatRecordLine(record));
    let won = false;
    const changes: Change[] = [];
    this.#readOn((taken, made) => {
      changes.push(...made);
      if ('by' in taken && taken.by === by) won = true;
    });
    progress({ continues: true, changes });
    if (fstatSync(this.#fd).nlink === 0) throw new JournalGone('the journal was deleted');
    return won ? record.revision : undefined;
  }

  /** Folds the complete lines after the position. A line without its newline is still being written. */
  #readOn(taken: (record: JournalRecord, changes: readonly Change[]) => void): void {
    const chunk = Buffer.allocUnsafe(chunkBytes);
    while (!this.#state.sealed) {
      const bytes = readSync(this.#fd, chunk, 0, chunkBytes, this.#position);
      if (bytes === 0) return;
      this.#position += bytes;
      const read = Buffer.concat([this.#rest, chunk.subarray(0, bytes)]);
      const end = read.lastIndexOf(newline) + 1;
      this.#rest = read.subarray(end);
      for (const line of read.toString('utf8', 0, end).split('\n')) {
        if (line === '') continue;
        const record = parseRecordLine(line);
        const changes = record && this.#state.apply(record);
        if (record !== undefined && changes !== undefined) taken(record, changes);
      }
    }
  }

  #path(generation: number): string {
    return join(this.#paths.own, `journal.${generation}`);
  }

  #newestGeneration(): number {
    const generations = readdirSync(this.#paths.own).map((name) =>
      Number(/^journal\.([0-9]{1,9})$/.exec(name)?.[1] ?? 0),
    );
    return Math.max(0, ...generations);
  }

  #openNewest(newCluster: string): number {
    try {
      mkdirSync(this.#paths.leases, { recursive: true });
      mkdirSync(this.#paths.temporary, { recursive: true });
    } catch (error) {
      // A follower may look at a volume that it cannot write, if there is something in it.
      if (!isReadOnly(error)) throw error;
    }
    const generation = Math.max(1, this.#newestGeneration());
    const fd = this.#openFile(generation);
    this.#begin(fd);
    try {
      this.#readOn(() => {});
      if (this.#state.cluster === undefined) {
        writeSync(fd, formatRecordLine({ op: 'open', cluster: newCluster, generation, revision: 0 }));
        this.#readOn(() => {});
      }
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #openFile(generation: number): number {
    try {
      const fd = openSync(this.#path(generation), 'a+');
      this.#writable = true;
      return fd;
    } catch (error) {
      if (!isReadOnly(error)) throw error;
      this.#writable = false;
      return openSync(this.#path(generation), 'r');
    }
  }

  #begin(fd: number): void {
    this.#fd = fd;
    this.#position = 0;
    this.#rest = Buffer.alloc(0);
  }

  /** Goes on in the next generation; there is a gap when that one was sealed and removed as well before we came. */
  #followSeal(): JournalProgress {
    const before = this.#state;
    if (this.#newestGeneration() <= before.generation && this.#writable) this.#writeGeneration(before);
    const newest = this.#newestGeneration();
    if (newest <= before.generation) throw new JournalGone('the journal was sealed and has no successor yet');
    const fd = this.#openFile(newest);
    closeSync(this.#fd);
    this.#begin(fd);
    this.#state = new JournalState();
    const changes: Change[] = [];
    this.#readOn((_, made) => changes.push(...made));
    const continues = this.#state.cluster === before.cluster && this.#state.base === before.revision;
    return { continues, changes: continues ? changes : [] };
  }

  #sealIfLarge(progress: (progress: JournalProgress) => void): void {
    if (this.#position < this.#sealBytes) return;
    let live = 0;
    for (const entry of this.#state.entries.values()) live += entry.value.length + 200;
    if (this.#position < 4 * live) return;
    const generation = this.#state.generation;
    this.commit(() => ({ op: 'seal' }), progress);
    progress(this.catchUp());
    for (
      let old = generation;
      old > 0 && statSync(this.#path(old), { throwIfNoEntry: false }) !== undefined;
      old -= 1
    ) {
      rmSync(this.#path(old), { force: true });
    }
  }

  /**
   * Each process that reads the seal may write the next generation: the content is the same for all, and a link never replaces.
   */
  #writeGeneration(state: JournalState): void {
    const generation = state.generation + 1;
    const temporary = join(this.#paths.temporary, `journal-${this.#author}`);
    const open: JournalRecord = { op: 'open', cluster: state.cluster ?? '', generation, revision: state.revision };
    const kept = [...state.entries.values()].map((entry) => formatRecordLine({ op: 'keep', ...entry }));
    writeFileSync(temporary, [formatRecordLine(open), ...kept].join(''), { flush: true });
    try {
      linkSync(temporary, this.#path(generation));
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    } finally {
      unlinkSync(temporary);
    }
  }
}

const isReadOnly = (error: unknown): boolean => ['EROFS', 'EACCES', 'EPERM'].includes(errorCode(error) ?? '');
