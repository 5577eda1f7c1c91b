import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';
import { patienceMs } from './command-turns.ts';
import { byReload, type FileState, reloadAt } from './file-state.ts';
import { reloadDone } from './place-file.ts';
import { retryAfter } from './quiescence.ts';
import type { CommandResult } from './run-command.ts';

export type FileReloadsParts = {
  readonly files: readonly FileState[];
  readonly run: (command: CommandLine, timeoutMs: number) => Promise<CommandResult>;
  /** Whether the check of a file took long the last time. */
  readonly wasSlow: (file: FileState) => boolean;
  readonly logger: Logger;
  readonly now: () => number;
  /** Whether failures are logged here; if not, the caller reports them. */
  readonly isLogged: () => boolean;
  readonly onResult: (dest: string, result: 'reloaded' | 'reload-failed') => void;
};

type FileGroup = readonly [FileState, ...FileState[]];

/** Runs each reload command once for all files that wait for it. A command never runs twice at once. */
export class FileReloads {
  readonly #parts: FileReloadsParts;
  readonly #groups: ReadonlyMap<string, FileGroup>;
  readonly #running = new Map<string, Promise<void>>();

  constructor(parts: FileReloadsParts) {
    this.#parts = parts;
    this.#groups = byReload(parts.files);
  }

  /** When the next one is to begin; undefined when none waits. */
  get nextAt(): number | undefined {
    const times = [...this.#groups].flatMap(([command, group]) => this.#dueAt(command, group) ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Begins those that are due. `onEnd` is called after each. */
  begin(onEnd: () => void): void {
    for (const [command, group] of this.#groups) {
      const due = this.#dueAt(command, group);
      if (due === undefined || due > this.#parts.now()) continue;
      const [first, ...rest] = group.filter(({ reloadDueSince }) => reloadDueSince !== undefined);
      if (first === undefined) continue;
      const running = this.#reload([first, ...rest]).finally(() => {
        this.#running.delete(command);
        onEnd();
      });
      this.#running.set(command, running);
    }
  }

  /** Resolves when none runs. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  #dueAt(command: string, group: FileGroup): number | undefined {
    return this.#running.has(command) ? undefined : reloadAt(group, this.#parts.wasSlow, patienceMs);
  }

  async #reload(group: FileGroup): Promise<void> {
    const { run, logger, now, onResult } = this.#parts;
    const [{ job }] = group;
    if (job.reload === undefined) return;
    const dests = group.map((file) => file.job.dest);
    const generations = group.map(({ generation }) => generation);
    const started = now();
    const result = await run(job.reload, Math.max(...group.map((file) => file.job.timeoutMs)));
    const ms = Math.round(now() - started);
    const command = job.reload.join(' ');
    if (!result.ok) return this.#failed(group, command, result);
    for (const [i, file] of group.entries()) {
      file.reloadFailure = undefined;
      onResult(file.job.dest, 'reloaded');
      // Files that were replaced meanwhile, or may be at this moment, are reloaded again.
      if (file.busySince !== undefined || file.generation !== generations[i]) continue;
      file.reloadDueSince = undefined;
      file.busySince = now();
      await reloadDone(file.job);
      file.busySince = undefined;
    }
    logger.info({ event: 'file-reloaded', command, for: dests, ms }, `reloaded for ${dests.join(', ')}`);
    if (result.output !== '') {
      logger.debug({ event: 'file-reload-output', command, output: result.output }, 'output of the reload');
    }
  }

  #failed(group: FileGroup, command: string, { reason, output }: Extract<CommandResult, { ok: false }>): void {
    const { logger, now, isLogged, onResult } = this.#parts;
    const count = Math.max(...group.map(({ reloadFailure }) => reloadFailure?.count ?? 0)) + 1;
    const retryMs = retryAfter(count);
    const said = output === '' ? 'it said nothing' : output;
    const dests = group.map(({ job }) => job.dest);
    for (const file of group) {
      const fault = new Fault('command-failed', `the reload failed: ${reason}: ${said}`, {
        where: file.job.dest,
        hint: 'the new file is in place, but not in use yet',
      });
      file.reloadFailure = { fault, count, retryAt: now() + retryMs };
      onResult(file.job.dest, 'reload-failed');
    }
    if (!isLogged()) return;
    logger.error(
      { event: 'file-reload-failed', command, for: dests, reason, output, attempt: count, retryMs },
      `the reload for ${dests.join(', ')} failed: ${reason}: ${said}`,
    );
  }
}
