import { type FSWatcher, watch } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { TreeWatch } from '../../fs/tree-watch.ts';
import { describe } from '../../model/fault.ts';
import type { Leases } from './leases.ts';
import type { Ledger } from './ledger.ts';
import { type DirectoryPaths, parseKeyPath } from './paths.ts';
import type { DirectoryTree } from './tree.ts';

export type WatchingParts = {
  readonly paths: DirectoryPaths;
  readonly ledger: Ledger;
  readonly tree: DirectoryTree;
  readonly leases: Leases;
  readonly logger: Logger;
  /** How often everything is compared although no watcher spoke, in ms. */
  readonly rescanMs: number;
};

// Also how soon a journal is read on a volume whose changes wake no watcher (a file system of another kernel).
const verifyMs = 250;
// An editor's or a shell's write is several system calls; looked at in the middle, it would be half an edit.
const settleMs = 25;

/**
 * Notices changes: of the journal's folder (by another pointsman) and of the tree (by hand) by watchers; silent leases, a
 * folder that was deleted or moved, and an event that the kernel dropped by timers.
 */
export class Watching {
  readonly #parts: WatchingParts;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #touched = new Set<string>();
  #journal: FSWatcher | undefined;
  #folders: TreeWatch | undefined;
  #scanning: Promise<void> | undefined;
  readonly #stopListening: () => void;
  #closed = false;

  constructor(parts: WatchingParts) {
    this.#parts = parts;
    let lost = false;
    this.#stopListening = parts.ledger.listen((event) => {
      if (event.kind === 'reset' && lost) this.#restart();
      if (event.kind === 'lost' || event.kind === 'reset') lost = event.kind === 'lost';
      // A writer appends its record before it moves its file. If the writer dies in between, this process has to notice.
      if (event.kind !== 'changes') return;
      for (const change of event.changes) this.#touch(change.kind === 'put' ? change.entry.key : change.key);
    });
  }

  /**
   * Reads the state once, and keeps it up to date. Never rejects: the ledger reports a failure, and the next turn tries again.
   */
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
      'leases',
      () => this.#parts.leases.nextCheckInMs(),
      () => this.#parts.leases.endSilent(),
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
    this.#unwatch();
    await this.#scanning;
  }

  #watch(): void {
    const { paths, ledger, logger } = this.#parts;
    try {
      ledger.state();
      this.#journal = watch(paths.own, () => this.#quietly(() => ledger.state()));
      this.#journal.on('error', () => {});
    } catch (error) {
      logger.debug(
        { event: 'directory-watch-failed', reason: describe(error) },
        'the file system sends no notifications; pointsman polls the journal',
      );
    }
    this.#folders = new TreeWatch({
      root: paths.root,
      onTouched: (path) => this.#touch(path),
      onError: (folder, error) => {
        const reason = describe(error);
        logger.warn(
          { event: 'directory-watch-failed', folder, reason },
          'pointsman sees changes made by hand at its next scan',
        );
      },
    });
  }

  /** The folder is another one now, and the watchers look at the old one. */
  #restart(): void {
    this.#unwatch();
    this.#watch();
    // A scan that is under way has listed folders for the watchers of before: they are listed once more.
    void Promise.resolve(this.#scanning).then(() => this.#compareAll());
  }

  #unwatch(): void {
    this.#journal?.close();
    this.#journal = undefined;
    this.#folders?.close();
    this.#folders = undefined;
  }

  #touch(path: string): void {
    if (this.#closed) return;
    if (path.split('/').some((name) => name.startsWith('.') || name.endsWith('~'))) return;
    this.#touched.add(path);
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
    const touched = [...this.#touched];
    this.#touched.clear();
    await this.#quietlyAsync(async () => {
      await Promise.all(touched.map((path) => this.#compare(path)));
    });
  }

  async #compare(path: string): Promise<void> {
    const { paths, tree, ledger } = this.#parts;
    const stats = await lstat(join(paths.root, path)).catch(() => undefined);
    if (stats?.isDirectory() && (path === '' || parseKeyPath(path).ok)) {
      this.#folders?.forget(path);
      return tree.scan(path, (folder) => this.#folders?.add(folder));
    }
    if (path !== '') await tree.inspect(path);
    if (stats !== undefined || !this.#folders?.forget(path)) return;
    const gone = [...(ledger.known?.entries.keys() ?? [])].filter((key) => key.startsWith(`${path}/`));
    await Promise.all(gone.map((key) => tree.inspect(key)));
  }

  #compareAll(): Promise<void> {
    this.#scanning ??= this.#quietlyAsync(async () => {
      await this.#parts.tree.scan('', (folder) => this.#folders?.add(folder));
      await this.#parts.leases.endSilent();
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

  // The ledger reports failures ('lost', with the reason). Here a failure only means to try again at the next turn.
  #quietly(task: () => void): void {
    try {
      if (!this.#closed) task();
    } catch (error) {
      this.#parts.logger.debug({ event: 'directory-retry', reason: describe(error) }, 'pointsman tries again');
    }
  }

  async #quietlyAsync(task: () => Promise<void>): Promise<void> {
    try {
      if (!this.#closed) await task();
    } catch (error) {
      this.#parts.logger.debug({ event: 'directory-retry', reason: describe(error) }, 'pointsman tries again');
    }
  }
}
