import type { Logger } from 'pino';
import { describe, Fault } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';
import type { FileTemplate } from './file-template.ts';
import type { Knowledge, Needs } from './knowledge.ts';
import { type FileJob, isReloadDue, type Placed, placeFile, reloadDone } from './place-file.ts';
import { changedAt, dueAt, type Pending, retryAfter } from './quiescence.ts';
import type { CommandResult } from './run-command.ts';

export type FileRoundsParts = {
  readonly files: readonly { readonly job: FileJob; readonly template: FileTemplate }[];
  readonly knowledge: Knowledge;
  readonly run: (command: CommandLine, timeoutMs: number) => Promise<CommandResult>;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly onResult?: (dest: string, result: FileResult) => void;
};

export type FileResult = Placed | 'failed' | 'reloaded' | 'reload-failed';

/** What an operator sees of a file. */
export type FileStatus = {
  readonly dest: string;
  /** Its template, its check or the disk refused the newest text; the file is as it was before. */
  readonly refused: string | undefined;
  readonly reloadFailed: string | undefined;
};

/** Something that goes wrong, how often in a row, and when it is tried again; undefined when a change is waited for. */
type Failure = { readonly fault: Fault; readonly count: number; readonly retryAt: number | undefined };

type FileState = {
  readonly job: FileJob;
  template: FileTemplate;
  /** Why a newer template is not used. */
  templateFault: Fault | undefined;
  /** What of the registry it was made of last. */
  madeOf: readonly unknown[] | undefined;
  pending: Pending;
  failure: Failure | undefined;
  reloadDue: boolean;
  reloadFailure: Failure | undefined;
};

/**
 * Makes files again when what they are made of has changed, and was quiet for a while. One round at a time: all files
 * that are due, then each reload command once. What arrives meanwhile goes into the next one.
 */
export class FileRounds {
  readonly #parts: FileRoundsParts;
  readonly #files: readonly FileState[];
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** What goes wrong is given to the caller instead of being logged and tried again. */
  #once = false;

  constructor(parts: FileRoundsParts) {
    this.#parts = parts;
    this.#files = parts.files.map(({ job, template }) => ({
      ...{ job, template, templateFault: undefined, madeOf: undefined, pending: undefined },
      ...{ failure: undefined, reloadDue: false, reloadFailure: undefined },
    }));
  }

  status(): readonly FileStatus[] {
    return this.#files.map(({ job, templateFault, failure, reloadFailure }) => ({
      dest: job.dest,
      refused: (templateFault ?? failure?.fault)?.toString(),
      reloadFailed: reloadFailure?.fault.toString(),
    }));
  }

  /** What the files are made of. */
  needs(): readonly Needs[] {
    return this.#files.map(needsOf);
  }

  /** Something became known: files that are made of it are due when it is quiet. */
  look(): void {
    for (const file of this.#files) this.#mark(file, false);
    this.#wake();
  }

  /** Uses another template for a file from now on. */
  useTemplate(dest: string, template: FileTemplate): void {
    const file = this.#files.find(({ job }) => job.dest === dest);
    if (file === undefined) return;
    file.template = template;
    file.templateFault = undefined;
    this.#mark(file, true);
    this.#wake();
  }

  /** A newer template cannot be used: what the one before it made stays, and is kept up to date. */
  refuseTemplate(dest: string, fault: Fault): void {
    const file = this.#files.find(({ job }) => job.dest === dest);
    if (file === undefined || file.templateFault?.toString() === fault.toString()) return;
    file.templateFault = fault;
    const reason = fault.toString();
    this.#parts.logger.error(
      { event: 'template-refused', dest, reason },
      `${reason}; the template before it stays in use for ${dest}`,
    );
  }

  /** Makes every file once, whatever was quiet how long, and gives what went wrong. Nothing is tried twice. */
  async once(): Promise<readonly Fault[]> {
    this.#once = true;
    await this.#round(this.#files);
    this.#stopped = true;
    return this.#files.flatMap(({ failure, reloadFailure }) => [
      ...(failure === undefined ? [] : [failure.fault]),
      ...(reloadFailure === undefined ? [] : [reloadFailure.fault]),
    ]);
  }

  /** Ends after the round that is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #mark(file: FileState, anew: boolean): void {
    const state = this.#parts.knowledge.stateOf(needsOf(file));
    if (state === undefined || (!anew && file.madeOf !== undefined && sameState(file.madeOf, state))) return;
    file.madeOf = state;
    file.pending = changedAt(file.pending, this.#parts.now());
  }

  #wake(): void {
    if (this.#running !== undefined || this.#stopped) return;
    clearTimeout(this.#timer);
    const next = Math.min(...this.#files.flatMap(timesOf));
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#begin(), Math.max(0, next - this.#parts.now()));
  }

  #begin(): void {
    const now = this.#parts.now();
    const due = this.#files.filter(
      ({ pending, failure, job }) =>
        (pending !== undefined && dueAt(pending, job.wait) <= now) ||
        (failure?.retryAt ?? Number.POSITIVE_INFINITY) <= now,
    );
    this.#running = this.#round(due).finally(() => {
      this.#running = undefined;
      this.#wake();
    });
  }

  async #round(due: readonly FileState[]): Promise<void> {
    for (const file of due) {
      if (this.#stopped) return;
      await this.#make(file);
    }
    const isDue = ({ reloadFailure }: FileState) =>
      reloadFailure === undefined || (reloadFailure.retryAt ?? Number.POSITIVE_INFINITY) <= this.#parts.now();
    for (const group of byReload(this.#files.filter(({ reloadDue }) => reloadDue))) {
      if (group.some(isDue)) await this.#reload(group);
    }
  }

  async #make(file: FileState): Promise<void> {
    const { knowledge, logger, run, now, onResult } = this.#parts;
    const { job, template } = file;
    const again = file.pending === undefined;
    file.pending = undefined;
    try {
      const text = template.render(knowledge.view(needsOf(file)));
      const placed = await placeFile(job, text, run);
      file.failure = undefined;
      onResult?.(job.dest, placed);
      if (placed !== 'unchanged') {
        logger.info(
          { event: 'file-changed', dest: job.dest, what: placed, bytes: text.length },
          `${job.dest} is ${placed}`,
        );
      }
      if (job.reload === undefined) return;
      // A reload that failed for the text before may succeed for this one, and is not tried for the last time.
      if (placed === 'replaced' && file.reloadFailure !== undefined) {
        file.reloadFailure = { ...file.reloadFailure, count: 0, retryAt: now() };
      }
      file.reloadDue = placed === 'replaced' || file.reloadDue || (await isReloadDue(job));
    } catch (error) {
      const fault =
        error instanceof Fault ? error : new Fault('storage', describe(error), { where: job.dest, cause: error });
      const count = again ? (file.failure?.count ?? 0) + 1 : 1;
      // The same values make the same text: only what other programs and disks say may change by itself.
      const wait = fault.code === 'template' ? undefined : retryAfter(count);
      file.failure = { fault, count, retryAt: wait === undefined ? undefined : now() + wait };
      onResult?.(job.dest, 'failed');
      if (this.#once) return;
      logger.error(
        { event: 'file-refused', dest: job.dest, reason: fault.toString(), code: fault.code, retryMs: wait },
        `${job.dest} stays as it was: ${fault}`,
      );
    }
  }

  /** One command for all that wait for it. */
  async #reload(group: readonly [FileState, ...FileState[]]): Promise<void> {
    const { run, logger, now, onResult } = this.#parts;
    const [{ job, reloadFailure }] = group;
    if (job.reload === undefined) return;
    const dests = group.map((file) => file.job.dest);
    const started = now();
    const result = await run(job.reload, Math.max(...group.map((file) => file.job.timeoutMs)));
    const ms = Math.round(now() - started);
    const command = job.reload.join(' ');
    if (result.ok) {
      for (const file of group) {
        await reloadDone(file.job);
        file.reloadDue = false;
        file.reloadFailure = undefined;
        onResult?.(file.job.dest, 'reloaded');
      }
      logger.info({ event: 'file-reloaded', command, for: dests, ms }, `reloaded for ${dests.join(', ')}`);
      return;
    }
    const count = (reloadFailure?.count ?? 0) + 1;
    const wait = retryAfter(count);
    const said = result.output === '' ? 'it said nothing' : result.output;
    for (const file of group) {
      const fault = new Fault('command-failed', `the reload failed: ${result.reason}: ${said}`, {
        where: file.job.dest,
        hint: 'the new file is in its place, and is not in use yet',
      });
      file.reloadFailure = { fault, count, retryAt: wait === undefined ? undefined : now() + wait };
      onResult?.(file.job.dest, 'reload-failed');
    }
    if (this.#once) return;
    logger.error(
      {
        event: 'file-reload-failed',
        command,
        for: dests,
        reason: result.reason,
        output: result.output,
        attempt: count,
        retryMs: wait,
      },
      `the reload for ${dests.join(', ')} failed: ${result.reason}: ${said}${wait === undefined ? '; it is tried again at the next change' : ''}`,
    );
  }
}

const needsOf = ({ job, template }: FileState): Needs => ({ uses: template.uses, keys: job.keys });

function timesOf({ job, pending, failure, reloadDue, reloadFailure }: FileState): number[] {
  const times = [failure?.retryAt, reloadDue ? reloadFailure?.retryAt : undefined];
  if (pending !== undefined) times.push(dueAt(pending, job.wait));
  return times.filter((time) => time !== undefined);
}

/** Files that wait for the same command, together. */
function byReload(files: readonly FileState[]): readonly [FileState, ...FileState[]][] {
  const groups = new Map<string, [FileState, ...FileState[]]>();
  for (const file of files) {
    const command = JSON.stringify(file.job.reload);
    const group = groups.get(command);
    if (group === undefined) groups.set(command, [file]);
    else group.push(file);
  }
  return [...groups.values()];
}

const sameState = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((part, i) => part === b[i]);
