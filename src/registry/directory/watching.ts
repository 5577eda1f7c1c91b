import { type FSWatcher as NodeWatcher, watch as watchFolder } from 'node:fs';
import { relative, sep } from 'node:path';
import { type FSWatcher, watch as watchTree } from 'chokidar';
import type { Logger } from 'pino';
import { describe } from '../../model/fault.ts';
import type { Leases } from './leases.ts';
import type { Ledger } from './ledger.ts';
import type { DirectoryPaths } from './paths.ts';
import type { Tree } from './tree.ts';

export type WatchingParts = {
  readonly paths: DirectoryPaths;
  readonly ledger: Ledger;
  readonly tree: Tree;
  readonly leases: Leases;
  readonly logger: Logger;
  /** How often everything is compared although no watcher spoke, in ms. */
  readonly rescanMs: number;
};

// Also how soon a journal is read on a volume whose changes wake nobody (a file system of another kernel).
const verifyMs = 250;
// An editor's or a shell's write is several system calls; looked at in the middle, it would be half an edit.
const settleMs = 25;

/**
 * What wakes this process: the journal's folder (a change by another pointsman), the tree (a change by hand), and clocks
 * for what no watcher tells: silent leases, a folder that was deleted or moved, an event that the kernel dropped.
 */
export class Watching {
  readonly #parts: WatchingParts;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #touched = new Set<string>();
  #journal: NodeWatcher | undefined;
  #tree: FSWatcher | undefined;
  #scanning: Promise<void> | undefined;
  readonly #stopListening: () => void;
  #closed = false;
  #rescan = false;

  constructor(parts: WatchingParts) {
    this.#parts = parts;
    let lost = false;
    this.#stopListening = parts.ledger.listen((event) => {
      if (event.kind === 'reset' && lost) this.#restart();
      if (event.kind === 'lost' || event.kind === 'reset') lost = event.kind === 'lost';
    });
  }

  /** Brings the state up to date once, and keeps it so. Never rejects: what fails is told by the ledger, and retried. */
  async start(): Promise<void> {
    this.#watch();
    await this.#compareAll();
    if (this.#closed) return;
    this.#every(
      'verify',
      () => verifyMs,
      () => this.#verify(),
    );
    this.#every(
      'patrol',
      () => this.#parts.leases.patrolInMs(),
      () => this.#parts.leases.patrol(),
    );
    this.#every(
      'rescan',
      () => this.#parts.rescanMs,
      () => this.#compareAll(),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopListening();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await this.#unwatch();
    await this.#scanning;
  }

  #watch(): void {
    const { paths, ledger, logger } = this.#parts;
    try {
      ledger.state();
      // Not chokidar: it drops a change that comes within 5 ms of another of the same file (its handler's throttle), and
      // the last line of a burst would wait for the next look.
      this.#journal = watchFolder(paths.own, () => this.#quietly(() => ledger.state()));
      this.#journal.on('error', () => {});
    } catch (error) {
      logger.debug({ event: 'directory-watch-failed', reason: describe(error) }, 'the journal is polled only');
    }
    const tree = watchTree(paths.root, {
      ignoreInitial: true,
      followSymlinks: false,
      ignorePermissionErrors: true,
      ignored: (path) => path === paths.own || path.startsWith(paths.own + sep),
    });
    tree.on('all', (_, path) => this.#touch(relative(paths.root, path).split(sep).join('/')));
    // What changed while the watchers were being set up.
    tree.on('ready', () => this.#touch(''));
    tree.on('error', (error) => {
      logger.warn(
        { event: 'directory-watch-failed', reason: describe(error) },
        'changes by hand are seen at the next rescan',
      );
    });
    this.#tree = tree;
  }

  /** The folder is another one now, and the watchers look at the old one. */
  #restart(): void {
    const journal = this.#journal;
    const tree = this.#tree;
    this.#watch();
    journal?.close();
    void tree?.close();
    void this.#compareAll();
  }

  async #unwatch(): Promise<void> {
    this.#journal?.close();
    this.#journal = undefined;
    const tree = this.#tree;
    this.#tree = undefined;
    await tree?.close();
  }

  #touch(key: string): void {
    if (this.#closed) return;
    if (key === '') this.#rescan = true;
    else this.#touched.add(key);
    if (this.#timers.has('settle')) return;
    this.#timers.set(
      'settle',
      setTimeout(() => {
        this.#timers.delete('settle');
        void this.#compareTouched();
      }, settleMs),
    );
  }

  async #compareTouched(): Promise<void> {
    const keys = [...this.#touched];
    this.#touched.clear();
    if (this.#rescan) {
      this.#rescan = false;
      return this.#compareAll();
    }
    const entries = this.#parts.ledger.known?.entries;
    // A folder: its name is no key, and nothing is said about what is in it.
    const files = keys.filter((key) => !key.split('/').some((name) => name.startsWith('.') || name.endsWith('~')));
    await this.#quietlyAsync(async () => {
      await Promise.all(files.map((key) => this.#parts.tree.inspect(key)));
      const gone =
        entries === undefined ? [] : [...entries.keys()].filter((key) => files.some((f) => key.startsWith(`${f}/`)));
      await Promise.all(gone.map((key) => this.#parts.tree.inspect(key)));
    });
  }

  #compareAll(): Promise<void> {
    this.#scanning ??= this.#quietlyAsync(async () => {
      await this.#parts.tree.scan();
      await this.#parts.leases.patrol();
    }).finally(() => {
      this.#scanning = undefined;
    });
    return this.#scanning;
  }

  async #verify(): Promise<void> {
    this.#quietly(() => {
      this.#parts.ledger.verify();
      this.#parts.ledger.state();
    });
  }

  /** Runs again the given time after it ended. */
  #every(name: string, inMs: () => number, task: () => Promise<void>): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      void this.#quietlyAsync(task).then(() => this.#every(name, inMs, task));
    }, inMs());
    this.#timers.set(name, timer);
  }

  // Failures are the ledger's to tell ('lost', with the reason); here they only mean: at the next beat again.
  #quietly(task: () => void): void {
    try {
      if (!this.#closed) task();
    } catch (error) {
      this.#parts.logger.debug({ event: 'directory-retry', reason: describe(error) }, 'will try again');
    }
  }

  async #quietlyAsync(task: () => Promise<void>): Promise<void> {
    try {
      if (!this.#closed) await task();
    } catch (error) {
      this.#parts.logger.debug({ event: 'directory-retry', reason: describe(error) }, 'will try again');
    }
  }
}
