import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import type { Fault } from '../model/fault.ts';
import { type HeldStatus, Holder } from '../registry/holding/holder.ts';
import type { Follower, Registry, RegistryEvent } from '../registry/registry.ts';
import { type FileResult, FileRounds } from './file-rounds.ts';
import type { FileStatus } from './file-state.ts';
import { foreignRange, type KeysWithin } from './key-fold.ts';
import { loadTemplateOf, type PreparedFile } from './prepare-files.ts';
import { runCommand } from './run-command.ts';
import { foreignPaths, needsOwnTree, RegistrySources } from './sources.ts';

export type FileKeeperParts = {
  readonly files: readonly PreparedFile[];
  /** The environment of commands, which templates see as `env`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opens a registry whose root is that of all keys; asked only if a file is made of a foreign tree. */
  readonly openForeign: () => Promise<Pick<Registry, 'follow' | 'close'>>;
  /** Which of its keys belong to a path; if not given, the path and what is below it. */
  readonly keysWithin?: KeysWithin;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** How often to look whether somebody else changed a file, in ms. */
  readonly intervalMs: number;
  readonly wall: () => Date;
  /** How long what vanished from a foreign tree is held, in ms; undefined: until it is released. */
  readonly holdMs: number | undefined;
  readonly onResult?: (dest: string, result: FileResult) => void;
  /** Another template is in use, which may be made of something else. */
  readonly onTemplate?: () => void;
};

/** How long commands may go on when pointsman ends, all together, in ms. */
const stopGraceMs = 5000;

/** Keeps files in step with the registry until it is closed. It gets pointsman's own tree through `offer` and `serve`. */
export class FileKeeper {
  readonly sources: RegistrySources;
  readonly #parts: FileKeeperParts;
  readonly #rounds: FileRounds;
  readonly #killing = new AbortController();
  #followers: readonly Follower[] = [];
  #holders: readonly Holder[] = [];
  #foreign: Pick<Registry, 'close'> | undefined;
  #keeping = false;
  #endReload: (() => Promise<void>) | undefined;

  constructor(parts: FileKeeperParts) {
    this.#parts = parts;
    const { files, env, logger, now, intervalMs, onResult } = parts;
    this.sources = new RegistrySources(this.#foreignPaths, env, parts.keysWithin);
    const { signal } = this.#killing;
    // One listener for each command that runs.
    setMaxListeners(0, signal);
    this.#rounds = new FileRounds({
      ...{ files, sources: this.sources, logger, now, intervalMs },
      ...(onResult === undefined ? {} : { onResult }),
      run: (command, timeoutMs) => runCommand(command, { timeoutMs, env, signal }),
    });
  }

  get #foreignPaths(): readonly string[] {
    return foreignPaths(this.#parts.files.map(({ job }) => job.keys));
  }

  status(): readonly FileStatus[] {
    return this.#rounds.status();
  }

  /** Whether all that the files are made of was read. */
  get complete(): boolean {
    return this.#rounds.needs().every((needs) => this.sources.stateOf(needs) !== undefined);
  }

  /** Whether of all that the files are made of either was read, or the registry said that it may not be read. */
  get settled(): boolean {
    return this.#rounds
      .needs()
      .every((needs) => this.sources.stateOf(needs) !== undefined || this.sources.denialOf(needs) !== undefined);
  }

  /** Whether a file is made of services, or of keys in pointsman's own tree. */
  get needsOwnTree(): boolean {
    return this.#rounds.needs().some(needsOwnTree);
  }

  /** Begins to follow the foreign trees. Calls `onEvent` after it has taken each event. */
  async follow(onEvent: (event: RegistryEvent) => void = () => undefined): Promise<void> {
    const paths = this.#foreignPaths;
    if (paths.length === 0) return;
    const registry = await this.#parts.openForeign();
    this.#foreign = registry;
    const { holdMs, logger, now, wall } = this.#parts;
    this.#holders = paths.map(
      (path) =>
        new Holder({
          ...{ logger, now, wall },
          // A tree of somebody else's may well be emptied on purpose.
          policy: { holdMs, deletions: undefined, mayHold: () => true },
          what: `the tree ${path}`,
          onEvent: (event) => {
            this.sources.offerForeign(path, event);
            this.#look();
            onEvent(event);
          },
        }),
    );
    this.#followers = paths.map((path, i) =>
      registry.follow((event) => this.#holders[i]?.take(event), foreignRange(path)),
    );
  }

  /** The held entries of foreign trees. */
  held(): readonly HeldStatus[] {
    return this.#holders.flatMap((holder) => holder.status());
  }

  /** Lets go of all that is held of foreign trees. */
  release(): void {
    for (const holder of this.#holders) holder.release('*');
  }

  /** Takes an event of pointsman's own tree. */
  offer(event: RegistryEvent): void {
    this.sources.offer(event);
    this.#look();
  }

  /** Takes what is served now. */
  serve(catalog: Catalog): void {
    this.sources.serve(catalog);
    this.#look();
  }

  /** From now on makes files whenever they are due, and reads their templates again when these change. */
  keep(): void {
    const { files, logger } = this.#parts;
    this.#keeping = true;
    // Loaded only by what goes on: `--once` watches nothing.
    const watching = import('./template-reload.ts').then(({ reloadTemplates }) =>
      reloadTemplates({
        ...{ files, logger, load: loadTemplateOf },
        onTemplate: (job, template) => {
          logger.info({ event: 'template-changed', dest: job.dest, src: job.src }, `${job.src} is read again`);
          this.#rounds.useTemplate(job.dest, template);
          this.#parts.onTemplate?.();
        },
        onSame: (job) => this.#rounds.acceptTemplate(job.dest),
        onRefused: (job, fault) => this.#rounds.refuseTemplate(job.dest, fault),
      }),
    );
    this.#endReload = async () => (await watching)();
    this.#look();
  }

  /** Makes every file once, and gives what went wrong. */
  once(): Promise<readonly Fault[]> {
    return this.#rounds.once();
  }

  /** Ends after the commands that run, and the reloads that they call for. A command that takes longer than the grace is killed. */
  async close(): Promise<void> {
    this.#keeping = false;
    for (const holder of this.#holders) holder.close();
    const grace = setTimeout(() => this.#killing.abort(), stopGraceMs);
    await Promise.all([this.#endReload?.(), ...this.#followers.map((follower) => follower.close())]);
    await this.#rounds.stop();
    clearTimeout(grace);
    await this.#foreign?.close();
  }

  #look(): void {
    if (this.#keeping) this.#rounds.look();
  }
}
