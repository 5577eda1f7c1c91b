import { setImmediate as turn } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { describe, Fault } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';
import { CommandTurns } from './command-turns.ts';
import type { FileJob } from './file-job.ts';
import { type FileState, type FileStatus, makeAt, needsOf, newFile, nextAt, statusOf } from './file-state.ts';
import type { FileTemplate } from './file-template.ts';
import { KnownDestinations } from './known-destinations.ts';
import { type Placed, placeFile, traceOf } from './place-file.ts';
import { changedAt, lookAfter, retryAfter } from './quiescence.ts';
import { FileReloads } from './reloads.ts';
import type { CommandResult } from './run-command.ts';
import type { Needs, RegistrySources } from './sources.ts';

export type FileRoundsParts = {
  readonly files: readonly { readonly job: FileJob; readonly template: FileTemplate }[];
  readonly sources: RegistrySources;
  readonly run: (command: CommandLine, timeoutMs: number) => Promise<CommandResult>;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** How often to look whether somebody else changed a file, in ms. */
  readonly intervalMs: number;
  readonly onResult?: (dest: string, result: FileResult) => void;
};

export type FileResult = Placed['what'] | 'failed' | 'reloaded' | 'reload-failed';

/** How many files are read and written at once. Node has four threads for it, and a disk that hangs keeps one for each. */
const disksAtOnce = 3;
/** How long files are rendered after the start to have their code optimized, all together, in ms. */
const warmUpMs = 60;

/**
 * Makes files again when the values that they are made of have changed and were quiet for a while, or when somebody else
 * changed the file. Each file goes its own way: one whose check hangs holds up no other.
 */
export class FileRounds {
  readonly #parts: FileRoundsParts;
  readonly #files: readonly FileState[];
  readonly #turns = new CommandTurns();
  readonly #disk = pLimit(disksAtOnce);
  readonly #destinations = new KnownDestinations();
  readonly #reloads: FileReloads;
  readonly #working = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Faults are given to the caller instead of being logged and tried again. */
  #once = false;
  #warmUpMs = warmUpMs;

  constructor(parts: FileRoundsParts) {
    const { logger, now, run } = parts;
    this.#parts = parts;
    this.#files = parts.files.map(newFile);
    this.#reloads = new FileReloads({
      ...{ files: this.#files, logger, now, wasSlow: ({ job }) => this.#turns.wasSlow(job.dest) },
      run: (command, timeoutMs) => this.#turns.run(JSON.stringify(command), () => run(command, timeoutMs)),
      onResult: (dest, result) => parts.onResult?.(dest, result),
      isLogged: () => !this.#once,
    });
  }

  status(): readonly FileStatus[] {
    const now = this.#parts.now();
    return this.#files.map((file) => statusOf(file, now));
  }

  /** The sources of the files. */
  needs(): readonly Needs[] {
    return this.#files.map(needsOf);
  }

  /** Something became known: files that are made of it are due when it is quiet. */
  look(): void {
    const now = this.#parts.now();
    for (const file of this.#files) this.#mark(file, now, false);
    this.#wake();
  }

  /** Uses another template for a file from now on. */
  useTemplate(dest: string, template: FileTemplate): void {
    const file = this.#files.find(({ job }) => job.dest === dest);
    if (file === undefined) return;
    file.template = template;
    file.templateFault = undefined;
    this.#mark(file, this.#parts.now(), true);
    this.#wake();
  }

  /** The template on disk is the one in use, again. */
  acceptTemplate(dest: string): void {
    const file = this.#files.find(({ job }) => job.dest === dest);
    if (file !== undefined) file.templateFault = undefined;
  }

  /** A newer template cannot be used: what the one before it made stays, and is kept up to date. */
  refuseTemplate(dest: string, fault: Fault): void {
    const file = this.#files.find(({ job }) => job.dest === dest);
    if (file === undefined || file.templateFault?.toString() === fault.toString()) return;
    file.templateFault = fault;
    const reason = fault.toString();
    this.#parts.logger.error(
      { event: 'template-refused', dest, reason },
      `${reason}; the previous template stays in use for ${dest}`,
    );
  }

  /** Makes every file once, however long ago it changed, and gives the faults. Nothing is tried twice. */
  async once(): Promise<readonly Fault[]> {
    this.#stopped = true;
    this.#once = true;
    for (const file of this.#files) this.#begin(file, () => this.#make(file, 'change'));
    await this.#finish();
    return this.#files.flatMap(({ job, failure, reloadFailure, generation }) => {
      // A reload that an earlier call left is tried, and not waited for: the file is in place since then.
      const left = reloadFailure !== undefined && generation === 0;
      if (left) {
        const reason = reloadFailure.fault.toString();
        this.#parts.logger.warn({ event: 'file-reload-left', dest: job.dest, reason }, reason);
      }
      return [
        ...(failure === undefined ? [] : [failure.fault]),
        ...(reloadFailure === undefined || left ? [] : [reloadFailure.fault]),
      ];
    });
  }

  /** Ends after the files and reloads that are under way, and after the reloads of these files. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#finish();
  }

  async #finish(): Promise<void> {
    await Promise.all(this.#working);
    await this.#reloads.idle();
    this.#reloads.begin(() => undefined);
    await this.#reloads.idle();
  }

  #mark(file: FileState, now: number, anew: boolean): void {
    const state = this.#parts.sources.stateOf(needsOf(file));
    if (state === undefined || (!anew && file.madeOf !== undefined && sameState(file.madeOf, state))) return;
    file.madeOf = state;
    file.pending = changedAt(file.pending, now, file.changedAt);
    file.changedAt = now;
  }

  /** Begins all that is due, and comes back when the next is. */
  #wake(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    const now = this.#parts.now();
    for (const file of this.#files) {
      if ((nextAt(file) ?? Number.POSITIVE_INFINITY) > now) continue;
      const isChange = (makeAt(file) ?? Number.POSITIVE_INFINITY) <= now;
      this.#begin(file, () => (isChange ? this.#make(file, 'change') : this.#inspect(file)));
    }
    this.#reloads.begin(() => this.#wake());
    const times = [...this.#files.map(nextAt), this.#reloads.nextAt].filter((time) => time !== undefined);
    const next = Math.min(...times);
    if (next === Number.POSITIVE_INFINITY) return;
    // Rounded up: a timer that fires a part of a millisecond too early would find nothing due.
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, Math.ceil(next - now)));
  }

  #begin(file: FileState, work: () => Promise<void>): void {
    const { now, intervalMs } = this.#parts;
    file.busySince = now();
    const done = work().finally(() => {
      file.busySince = undefined;
      file.lookAt = now() + lookAfter(intervalMs, file.alterations);
      this.#working.delete(done);
      this.#wake();
    });
    this.#working.add(done);
  }

  /** Looks whether somebody else changed the file, and restores it. */
  async #inspect(file: FileState): Promise<void> {
    const trace = await this.#disk(() => traceOf(file.job.dest));
    if (trace === file.trace) {
      file.alterations = Math.max(0, file.alterations - 1);
      if (file.template.changing === true && file.failure === undefined) await this.#make(file, 'change');
      return;
    }
    if (trace === 'missing') file.altered = 'it was deleted';
    else if (file.trace !== undefined) file.altered = 'somebody else changed it';
    await this.#make(file, 'alteration');
  }

  async #make(file: FileState, why: 'change' | 'alteration'): Promise<void> {
    const { sources, logger, run, now, onResult } = this.#parts;
    const { job, template } = file;
    const isRetry = file.pending === undefined && file.failure !== undefined;
    file.pending = undefined;
    // Before it is compared: what somebody changes from now on is seen at the next look.
    const tracing = this.#disk(() => traceOf(job.dest));
    try {
      if (job.refused !== undefined) throw job.refused;
      const denied = sources.denialOf(needsOf(file));
      if (denied !== undefined) throw denied;
      const text = await template.render(sources.view(needsOf(file)));
      const trace = await tracing;
      const placed = await placeFile(job, text, {
        run: (command, timeoutMs) => this.#turns.run(job.dest, () => run(command, timeoutMs)),
        disk: (work) => this.#disk(work),
        destinations: this.#destinations,
      });
      file.failure = undefined;
      file.trace = placed.what === 'unchanged' ? trace : undefined;
      onResult?.(job.dest, placed.what);
      this.#tellOwner(file, placed);
      if (placed.what !== 'unchanged') this.#tell(file, placed, why, text.length);
      file.altered = undefined;
      if (placed.what === 'replaced') {
        file.generation += 1;
        // A reload that failed for the text before may succeed for this one, and is not tried for the last time.
        if (file.reloadFailure !== undefined) file.reloadFailure = { ...file.reloadFailure, count: 0, retryAt: now() };
      }
      if (placed.reloadDue && job.reload !== undefined) file.reloadDueSince ??= now();
      if (!this.#once) void this.#warmUp(file);
    } catch (error) {
      file.trace = await tracing;
      const fault =
        error instanceof Fault ? error : new Fault('storage', describe(error), { where: job.dest, cause: error });
      const count = isRetry ? (file.failure?.count ?? 0) + 1 : 1;
      // The same values make the same text: only what other programs and disks say may change by itself.
      const wait = fault.code === 'template' || fault === job.refused ? undefined : retryAfter(count);
      file.failure = { fault, count, retryAt: wait === undefined ? undefined : now() + wait };
      onResult?.(job.dest, 'failed');
      if (this.#once) return;
      logger.error(
        { event: 'file-refused', dest: job.dest, reason: fault.toString(), code: fault.code, retryMs: wait },
        `${job.dest} stays unchanged: ${fault}`,
      );
    }
  }

  /**
   * Renders a file again and again for a short time after the start, and drops the texts: V8 optimizes code only after it ran often, and
   * a change of one key is to be rendered by optimized code (0.4 ms instead of 3 ms for 100 keys).
   */
  async #warmUp({ template, job }: FileState): Promise<void> {
    const { sources, now } = this.#parts;
    // A lookup would be asked of other machines.
    if (template.changing === true) return;
    try {
      while (this.#warmUpMs > 0 && !this.#stopped) {
        // Whatever waits goes first.
        await turn();
        const started = now();
        await template.render(sources.view({ uses: template.uses, keys: job.keys }));
        this.#warmUpMs -= Math.max(0.1, now() - started);
      }
    } catch {
      // A value changed meanwhile and cannot be rendered: the make of the file reports it.
    }
  }

  #tellOwner(file: FileState, { ownerRefused }: Placed): void {
    const { dest } = file.job;
    if (ownerRefused !== undefined && file.ownerRefused === undefined) {
      this.#parts.logger.warn(
        { event: 'file-owner-refused', dest, reason: ownerRefused },
        `${dest} belongs to the user that pointsman runs as: ${ownerRefused}`,
      );
    }
    file.ownerRefused = ownerRefused;
  }

  #tell(file: FileState, { what, inPlace }: Placed, why: 'change' | 'alteration', bytes: number): void {
    const { logger } = this.#parts;
    const { dest } = file.job;
    if (what === 'replaced') {
      if (inPlace !== undefined && file.inPlace === undefined) {
        logger.warn(
          { event: 'file-in-place', dest, reason: inPlace },
          `${dest} is overwritten in place: ${inPlace}; a reader can find half of the text: mount its folder instead`,
        );
      }
      file.inPlace = inPlace;
    }
    if (why === 'alteration') {
      file.alterations += 1;
      const reason = file.altered ?? 'somebody else changed it';
      logger.warn({ event: 'file-restored', dest, reason, what, bytes }, `${dest} is restored: ${reason}`);
    } else
      logger.info(
        { event: 'file-changed', dest, what, bytes },
        what === 'permissions' ? `${dest} has its mode and owner` : `${dest} is replaced`,
      );
  }
}

const sameState = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((part, i) => part === b[i]);
