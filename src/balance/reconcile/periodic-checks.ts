import type { RunningState } from '../../haproxy/running-state.ts';
import { describe } from '../../model/fault.ts';
import type { OldWorkers } from '../reload/old-workers.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Timers } from './loop.ts';
import type { ProcessWatch } from './process-watch.ts';
import type { Running } from './running.ts';

type CheckedHolder = {
  readonly holding: boolean;
  observe(running: RunningState): void;
};

type PeriodicChecksParts = Pick<BalancerParts, 'haproxy' | 'link' | 'files' | 'logger'> & {
  /** The guard and the held entries, which keep an instance while it passes its health checks. */
  readonly holders: readonly CheckedHolder[];
  readonly oldWorkers: OldWorkers;
  readonly timers: Timers;
  readonly running: Running;
  readonly watch: ProcessWatch;
  /** Somebody else wrote to these files. */
  readonly onEdited: (files: readonly string[]) => void;
  /** Whether the loop runs a task, which notices another worker by itself. */
  readonly busy: () => boolean;
};

// Somebody else may reload HAProxy. To ask for the pid of the worker is cheap; to read its state is not.
const workerCheckMs = 2000;
// A worker that is stopped or stuck still has its connections accepted, by the kernel.
const workerAnswerMs = 1000;
// The first silence may be a reload, or a machine that is busy.
const silencesToReport = 2;
const inspectionMs = 30_000;
const afterReplacementMs = 1000;
const holderCheckMs = 500;

/** Looks after fixed times for changes that nothing reports: other workers, drift, changed files, guarded instances that fail. */
export class PeriodicChecks {
  readonly #parts: PeriodicChecksParts;
  /** The number of checks in a row that no worker answered. */
  #silences = 0;

  constructor(parts: PeriodicChecksParts) {
    this.#parts = parts;
  }

  begin(): void {
    this.#parts.timers.arm('worker-check', workerCheckMs, () => this.#checkWorker());
    if (!this.#parts.timers.has('answer-check')) this.#armAnswer();
  }

  /** Whether a worker answered one of the last checks. */
  get answering(): boolean {
    return this.#silences < silencesToReport;
  }

  /** A worker has just answered another part of the balancer. */
  answered(): void {
    this.#silences = 0;
  }

  /** Inspects soon again: somebody else's reload may have loaded a file that pointsman replaced a moment later. */
  lookAgain(): void {
    this.#armInspection(afterReplacementMs);
  }

  /** Watches the instances that the guard or a held entry keeps, as long as there are any. */
  watchHolders(): void {
    const { holders, timers } = this.#parts;
    if (!timers.has('guard') && holders.some(({ holding }) => holding))
      timers.arm('guard', holderCheckMs, () => this.#observe());
  }

  #armInspection(ms: number): void {
    this.#parts.timers.arm('inspect', ms, () => this.#parts.watch.inspectSoon());
  }

  #armAnswer(): void {
    this.#parts.timers.arm('answer-check', workerCheckMs, () => this.#askWorker());
  }

  /** Asks the worker itself: the master knows its pid, and not whether it still works. */
  async #askWorker(): Promise<void> {
    const { link, watch } = this.#parts;
    this.#armAnswer();
    try {
      await link.mustAnswer(workerAnswerMs);
    } catch (error) {
      this.#silences += 1;
      if (this.#silences === silencesToReport) watch.onSilent(describe(error));
      return;
    }
    const { answering } = this;
    this.#silences = 0;
    if (!answering) watch.onAnswer();
  }

  async #checkWorker(): Promise<void> {
    const { haproxy, link, oldWorkers, logger, timers, running, busy, watch, files, onEdited } = this.#parts;
    this.begin();
    // Without `await`: a disk that hangs must not delay the check of the worker.
    void files.changedByOthers().then(
      ({ touched, changed }) => {
        if (changed.length > 0) onEdited(changed);
        // The file may have been another one when HAProxy loaded it.
        else if (touched) watch.inspectSoon();
      },
      // The next write fails as well, and reports a trouble.
      (error: unknown) => logger.warn({ event: 'files-unseen', reason: describe(error) }, describe(error)),
    );
    const processes = await haproxy.processes();
    if (processes !== undefined) oldWorkers.seen(processes);
    // Old workers pass requests on only to a worker that answers.
    if (processes !== undefined && processes.workerPid === link.workerPid) void oldWorkers.passOn(processes);
    if (!timers.has('inspect')) this.#armInspection(inspectionMs);
    if (busy() || processes?.workerPid === undefined || processes.workerPid === running.worker) return;
    logger.info({ event: 'worker-replaced', pid: processes.workerPid }, 'another program reloaded HAProxy');
    watch.inspectSoon();
  }

  /** Looks whether kept instances still pass their health checks. */
  async #observe(): Promise<void> {
    const { holders, link, timers } = this.#parts;
    if (!holders.some(({ holding }) => holding)) return;
    timers.arm('guard', holderCheckMs, () => this.#observe());
    if (!link.connected) return;
    const running = await link.inspect();
    for (const holder of holders) holder.observe(running);
  }
}
