import type { Logger } from 'pino';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { describe } from '../../model/fault.ts';
import type { OldWorkers } from '../reload/old-workers.ts';
import type { PassingOn } from '../reload/passing-on.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Running } from './running.ts';
import type { Timers } from './timers.ts';

export type CheckedHolder = {
  readonly holding: boolean;
  observe(running: RunningState): void;
};

type PeriodicChecksParts = {
  readonly haproxy: Haproxy;
  readonly link: RuntimeLink;
  readonly passingOn: PassingOn;
  /** Those that hold instances for as long as these pass their checks. */
  readonly holders: readonly CheckedHolder[];
  readonly oldWorkers: OldWorkers;
  readonly logger: Logger;
  readonly timers: Timers;
  readonly running: Running;
  readonly files: Pick<StateFiles, 'changedByOthers'>;
  /** Somebody else wrote to these files. */
  readonly onEdited: (files: readonly string[]) => void;
  /** Whether a round is under way, which finds out by itself. */
  readonly busy: () => boolean;
  /** It is time to read what HAProxy runs. */
  readonly inspect: () => void;
  /** No worker has answered for a while. */
  readonly onSilent: (reason: string) => void;
  /** A worker answers again after that. */
  readonly onAnswer: () => void;
};

// A reload or a restart can change what runs behind our back: cheap to ask often who the worker is, dearer to read all.
const workerCheckMs = 2000;
// A worker that is stopped or stuck still has its connections accepted, by the kernel.
const workerAnswerMs = 1000;
// Once may be a reload, or a machine that is busy.
const silencesToTell = 2;
const inspectionMs = 30_000;
const afterReplacementMs = 1000;
const holderCheckMs = 500;

/** Looks from time to time at what nobody tells of: other workers, other servers in them, those that the guard holds. */
export class PeriodicChecks {
  readonly #parts: PeriodicChecksParts;
  /** How many patrols in a row no worker answered. */
  #silences = 0;

  constructor(parts: PeriodicChecksParts) {
    this.#parts = parts;
  }

  begin(): void {
    this.#parts.timers.arm('worker-patrol', workerCheckMs, () => this.#checkWorker());
    if (!this.#parts.timers.has('answer-patrol')) this.#armAnswer();
  }

  /** Whether a worker answers, as far as the last patrols know. */
  get answering(): boolean {
    return this.#silences < silencesToTell;
  }

  /** A worker has just answered somebody else. */
  answered(): void {
    this.#silences = 0;
  }

  /** Whoever reloads while we do may have loaded a file that was replaced a moment later: look again when it is quiet. */
  lookAgain(): void {
    this.#armInspection(afterReplacementMs);
  }

  /** Watches the instances that are held, for as long as there are any. */
  watchHolders(): void {
    const { holders, timers } = this.#parts;
    if (!timers.has('guard') && holders.some(({ holding }) => holding))
      timers.arm('guard', holderCheckMs, () => this.#observe());
  }

  #armInspection(ms: number): void {
    this.#parts.timers.arm('inspect', ms, () => this.#parts.inspect());
  }

  #armAnswer(): void {
    this.#parts.timers.arm('answer-patrol', workerCheckMs, () => this.#askWorker());
  }

  /** The master tells who the worker is, and not whether it still works. */
  async #askWorker(): Promise<void> {
    const { link, onSilent, onAnswer } = this.#parts;
    this.#armAnswer();
    try {
      await link.mustAnswer(workerAnswerMs);
    } catch (error) {
      this.#silences += 1;
      if (this.#silences === silencesToTell) onSilent(describe(error));
      return;
    }
    const { answering } = this;
    this.#silences = 0;
    if (!answering) onAnswer();
  }

  async #checkWorker(): Promise<void> {
    const { haproxy, link, oldWorkers, passingOn, logger, timers, running, busy, inspect, files, onEdited } =
      this.#parts;
    this.begin();
    // Not waited for: a disk that hangs keeps nobody from looking at the worker.
    void files.changedByOthers().then(
      ({ touched, changed }) => {
        if (changed.length > 0) onEdited(changed);
        // It may have said something else when HAProxy loaded it.
        else if (touched) inspect();
      },
      // The next write fails as well, and tells of it.
      (error: unknown) => logger.warn({ event: 'files-unseen', reason: describe(error) }, describe(error)),
    );
    const processes = await haproxy.processes();
    if (processes !== undefined) oldWorkers.seen(processes);
    // Only a worker that answers is one to pass requests on to.
    if (processes !== undefined && processes.workerPid === link.workerPid) void passingOn.passOn(processes);
    if (!timers.has('inspect')) this.#armInspection(inspectionMs);
    if (busy() || processes?.workerPid === undefined || processes.workerPid === running.worker) return;
    logger.info({ event: 'worker-replaced', pid: processes.workerPid }, 'somebody else reloaded HAProxy');
    inspect();
  }

  /** Whether the instances that are held still pass their checks. */
  async #observe(): Promise<void> {
    const { holders, link, timers } = this.#parts;
    if (!holders.some(({ holding }) => holding)) return;
    timers.arm('guard', holderCheckMs, () => this.#observe());
    if (!link.connected) return;
    const running = await link.inspect();
    for (const holder of holders) holder.observe(running);
  }
}
