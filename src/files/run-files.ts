import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Catalog, emptyCatalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { describe, Fault, PartialFailure } from '../model/fault.ts';
import { noRevision } from '../model/revision.ts';
import { applicationOf, mayHoldOwn } from '../registry/holding/areas.ts';
import { type HeldStatus, Holder } from '../registry/holding/holder.ts';
import { defaultDeletionBound } from '../registry/holding/mass-deletion.ts';
import { catalogKeys, type Follower, type Registry, type RegistryEvent } from '../registry/registry.ts';
import { followReleases, releasedBy } from '../registry/releases.ts';
import type { FileDeclaration } from '../settings/file-declaration.ts';
import { aborted } from '../waiting/time-limit.ts';
import { FileKeeper, type FileKeeperParts } from './file-keeper.ts';
import { type FileStatus, isWell } from './file-state.ts';
import type { KeysWithin } from './key-fold.ts';
import type { FilesMetrics } from './metrics.ts';
import { type PreparedFile, prepareFiles } from './prepare-files.ts';
import { type FilePreview, previewFiles } from './preview.ts';

export type RunFilesParts = {
  /** `watch` goes on until `signal` aborts; the others end by themselves, `dry-run` and `diff` without writing. */
  readonly mode: 'watch' | 'once' | 'dry-run' | 'diff';
  /** Opens pointsman's own tree; asked only if a file is made of it. */
  readonly openOwn: () => Promise<Registry>;
  /** Whether `openOwn` is pointsman's tree itself, so that operators' releases are in it. */
  readonly ownHasReleases: boolean;
  /** Opens the tree that operators' releases are in; undefined when there is none. */
  readonly openReleases: (() => Promise<Registry>) | undefined;
  /** Opens a registry whose root is that of all keys. */
  readonly openForeign: FileKeeperParts['openForeign'];
  /** Which of its keys belong to a path. */
  readonly keysWithin: KeysWithin;
  /** What was declared and cannot be made. */
  readonly refused: readonly Fault[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** `watch` ends when this aborts, too: other files are declared from then on. */
  readonly redeclared?: AbortSignal | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** How often to look whether somebody else changed a file, in ms. */
  readonly intervalMs: number;
  readonly wall: () => Date;
  /** How long what vanished without being deleted is held, in ms; undefined: until it is released. */
  readonly holdMs: number | undefined;
  /** Tells how it is while files are kept; undefined when nobody asks. */
  readonly admin: FilesAdmin | undefined;
  /** Takes text for standard output. */
  readonly print: (text: string) => void;
};

export type FilesAdmin = {
  readonly metrics: FilesMetrics;
  /** The answer ends it. */
  readonly serve: (health: () => FilesHealth) => Promise<() => Promise<void>>;
};

/** The answer of `/readyz` and `/status`. */
type FilesHealth = {
  /** Everything was read, and every file is as it should be, and in use. */
  readonly ready: boolean;
  readonly registry: { readonly connected: boolean; readonly reason: string | undefined };
  readonly revisionSeen: string;
  readonly files: readonly FileStatus[];
  /** Why files that were declared are not made. */
  readonly refused: readonly string[];
  /** Held entries: the registry does not have them any more, and files still have them. */
  readonly held: readonly HeldStatus[];
};

/** How long the registry may take to say what it holds before a call that ends by itself gives up, in ms. */
const firstReadMs = 10_000;
/** The same for a registry that cannot be reached at all. confd gives up after 3 s, too. */
const firstReachMs = 3000;

/** Makes files without a balancer. Rejects with a PartialFailure for files that cannot be made, and with a Fault when none can. */
export async function runFiles(declarations: readonly FileDeclaration[], parts: RunFilesParts): Promise<void> {
  const { mode, env, logger, signal, now, wall, holdMs, intervalMs, openForeign, keysWithin, admin } = parts;
  const files = await prepareFiles(declarations);
  warnOfRaw(files, logger);
  const onTemplate = () => {
    own.openIfNeeded().catch((error: unknown) => {
      const reason = describe(error);
      logger.error(
        { event: 'registry-not-opened', reason },
        `pointsman cannot read the keys of the new template: ${reason}`,
      );
    });
  };
  const onResult = (dest: string, result: string) => admin?.metrics.fileResults.inc({ dest, result });
  const keeper = new FileKeeper({
    ...{ files, env, openForeign, keysWithin, logger, now, wall, holdMs, intervalMs, onTemplate, onResult },
  });
  const own = new OwnTree(parts, keeper);
  const closeAdmin = mode === 'watch' ? await admin?.serve(() => own.health()) : undefined;
  try {
    await Promise.all([own.openIfNeeded(), keeper.follow((event) => own.hear(event))]);
    if (mode === 'watch') {
      await own.hearReleases();
      keeper.keep();
      logger.info(
        { event: 'files-kept', files: files.map(({ job }) => job.dest) },
        `pointsman keeps ${files.length} files up to date`,
      );
      await aborted(parts.redeclared === undefined ? signal : AbortSignal.any([signal, parts.redeclared]));
      if (signal.aborted) logger.info({ event: 'stopping' }, 'stopping');
      return;
    }
    await settle(keeper, own, signal);
    if (mode === 'once') raise([...parts.refused, ...(await keeper.once())]);
    else raise([...parts.refused, ...(await show(await previewFiles(files, keeper.sources), mode, parts.print))]);
  } finally {
    await keeper.close();
    await own.close();
    await closeAdmin?.();
  }
}

type Opened = { readonly registry: Registry; readonly follower: Follower };

/** Follows pointsman's own tree once a file is made of it, and passes the changes to the keeper. */
class OwnTree {
  readonly #parts: RunFilesParts;
  readonly #keeper: FileKeeper;
  #catalog: Catalog = emptyCatalog;
  #opening: Promise<Opened> | undefined;
  #releases: Opened | undefined;
  readonly #holder: Holder;
  #connected = false;
  #revision = noRevision;
  /** Why the registry does not answer; undefined while it does. */
  trouble: string | undefined;

  constructor(parts: RunFilesParts, keeper: FileKeeper) {
    this.#parts = parts;
    this.#keeper = keeper;
    const { holdMs, logger, now, wall } = parts;
    this.#holder = new Holder({
      ...{ logger, now, wall },
      policy: { holdMs, deletions: defaultDeletionBound, mayHold: mayHoldOwn, standsFor: applicationOf },
      what: 'the registry',
      onEvent: (event) => this.#take(event),
    });
  }

  /** Attempts to connect have failed, and none has succeeded since. */
  get unreachable(): boolean {
    return this.trouble !== undefined && !this.#connected;
  }

  async openIfNeeded(): Promise<void> {
    if (!this.#keeper.needsOwnTree) return;
    this.#opening ??= this.#parts.openOwn().then((registry) => ({
      registry,
      follower: registry.follow((event) => this.#holder.take(event), catalogKeys),
    }));
    await this.#opening;
  }

  /** Follows what operators release, if it is not in what is followed anyway. */
  async hearReleases(): Promise<void> {
    const { ownHasReleases, openReleases, logger } = this.#parts;
    if (openReleases === undefined || (ownHasReleases && this.#opening !== undefined)) return;
    const registry = await openReleases();
    const follower = followReleases(registry, logger, (release) => {
      this.#holder.release(release);
      if (release === '*') this.#keeper.release();
    });
    this.#releases = { registry, follower };
  }

  /** How it is now; sets the gauges. */
  health(): FilesHealth {
    const { admin, refused } = this.#parts;
    const metrics = admin?.metrics;
    const files = this.#keeper.status();
    for (const file of files) metrics?.fileFailed.set({ dest: file.dest }, isWell(file) ? 0 : 1);
    metrics?.registryConnected.set(this.#connected ? 1 : 0);
    metrics?.revisionSeen.set(Number(this.#revision));
    const held = [...this.#holder.status(), ...this.#keeper.held()];
    metrics?.held.set(held.reduce((sum, { count }) => sum + count, 0));
    return {
      ready: this.#keeper.complete && files.every(isWell) && refused.length === 0,
      registry: { connected: this.#connected, reason: this.#connected ? undefined : this.trouble },
      revisionSeen: String(this.#revision),
      files,
      refused: refused.map(String),
      held,
    };
  }

  /** Keeps and logs what a follower says about its connection. */
  hear(event: RegistryEvent): void {
    const { logger } = this.#parts;
    if (event.kind === 'connected' || event.kind === 'disconnected') this.#connected = event.kind === 'connected';
    else if (event.revision > this.#revision) this.#revision = event.revision;
    if (event.kind === 'connected') {
      this.trouble = undefined;
      logger.info({ event: 'registry-connected', member: event.member }, 'pointsman follows the registry');
    } else if (event.kind === 'disconnected') {
      // Told at every attempt: once is enough for each reason.
      const level = this.trouble === event.reason ? 'debug' : 'warn';
      this.trouble = event.reason;
      logger[level](
        { event: 'registry-disconnected', reason: event.reason },
        'registry unavailable; the files stay as they are',
      );
    }
  }

  async close(): Promise<void> {
    this.#holder.close();
    for (const opened of [await this.#opening, this.#releases]) {
      await opened?.follower.close();
      await opened?.registry.close();
    }
  }

  #take(event: RegistryEvent): void {
    this.hear(event);
    if (releasedBy(event).includes('*')) this.#keeper.release();
    const { catalog, rejections } = foldEvent(this.#catalog, event);
    this.#catalog = catalog;
    for (const rejection of rejections) {
      const { key, reason, revision } = rejection;
      this.#parts.logger.warn({ event: 'entry-rejected', key, reason, revision: String(revision) }, 'entry left out');
    }
    this.#keeper.serve(catalog);
    this.#keeper.offer(event);
  }
}

/** Waits until the registry said all that the files are made of, or that it may not be read. Rejects with Fault `registry-unreachable`. */
async function settle(keeper: FileKeeper, own: OwnTree, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  while (!keeper.settled) {
    const most = own.unreachable ? firstReachMs : firstReadMs;
    if (signal.aborted || performance.now() - started > most) {
      const reason = own.trouble ?? `it did not report what it holds within ${firstReadMs} ms`;
      throw new Fault('registry-unreachable', `no file was made: ${reason}`, { where: '--registry' });
    }
    await pause(10);
  }
}

async function show(
  previews: readonly (FilePreview | Fault)[],
  mode: 'dry-run' | 'diff',
  print: (text: string) => void,
): Promise<readonly Fault[]> {
  for (const preview of previews) {
    if (preview instanceof Fault) continue;
    const { dest, before, after } = preview;
    if (mode === 'diff') print((await import('./unified-diff.ts')).unifiedDiff(preview));
    else print(`${before === after ? 'unchanged' : before === undefined ? 'would make' : 'would change'} ${dest}\n`);
  }
  return previews.filter((preview) => preview instanceof Fault);
}

/** Says which files get text of the registry as it is, and are executed or loaded by something. */
function warnOfRaw(files: readonly PreparedFile[], logger: Logger): void {
  const isUsed = ({ reload, check, mode, dest }: FileDeclaration) =>
    reload !== undefined || check !== undefined || ((mode ?? 0) & 0o111) !== 0 || isProgram.test(dest);
  const dests = files.filter(({ job, template }) => template.raw === true && isUsed(job)).map(({ job }) => job.dest);
  if (dests.length === 0) return;
  logger.warn(
    { event: 'files-raw', dests, hint: 'escape' },
    `values of the registry are written as they are into ${dests.join(', ')}: users who can write these keys can write anything there; --escape, or \`escape\` in a resource, refuses unsafe values`,
  );
}

const isProgram = /\.(sh|bash|py|pl|rb|php|lua|js|service|timer|cron|sql)$|\/cron[^/]*\/|\/\.?[^/]*rc$/;

function raise(faults: readonly Fault[]): void {
  if (faults.length > 0) throw new PartialFailure(faults);
}
