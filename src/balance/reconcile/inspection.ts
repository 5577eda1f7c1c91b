import { backoffMs } from '../../waiting/backoff.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Intake } from './intake.ts';
import type { Loop, Timers } from './loop.ts';
import type { PeriodicChecks } from './periodic-checks.ts';
import type { ProcessWatch } from './process-watch.ts';
import type { Reconciler } from './reconciler.ts';
import type { Reloading } from './reloading.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';

type InspectionParts = Pick<BalancerParts, 'link' | 'files' | 'openFiles' | 'troubles'> & {
  readonly intake: Intake;
  readonly rendering: Rendering;
  readonly running: Running;
  readonly reloads: Reloads;
  readonly reloading: Pick<Reloading, 'loading'>;
  readonly reconciler: Reconciler;
  readonly periodicChecks: Pick<PeriodicChecks, 'lookAgain'>;
  readonly watch: ProcessWatch;
  readonly timers: Timers;
  readonly loop: Pick<Loop, 'wake'>;
};

const retries = { firstMs: 2000, mostMs: 300_000 };

/** Reads what the worker really runs, and from which configuration it was loaded. The next round, or a reload, repairs the difference. */
export class Inspection {
  readonly #parts: InspectionParts;
  /** How often in a row the worker was loaded from another configuration. */
  #foreignConfigs = 0;

  constructor(parts: InspectionParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    const { files, intake, running, reloading, reconciler, watch } = this.#parts;
    if (await running.meet()) this.#met();
    // HAProxy replaces the worker meanwhile. pointsman inspects the new one.
    if (reloading.loading) return;
    this.#lookAtConfig();
    watch.mustInspect = false;
    const differs = await running.readBack();
    if (differs) {
      files.config.doubted = true;
      reconciler.doubt();
    }
    // After a task that failed, too, only a round can show that HAProxy has every change.
    if (differs || (reconciler.doubted && intake.dirty.empty)) reconciler.markAllDirty();
  }

  /** pointsman has a new connection, perhaps to another worker. */
  #met(): void {
    const { link, openFiles, intake, rendering, periodicChecks } = this.#parts;
    periodicChecks.lookAgain();
    openFiles.met(link.limits);
    intake.dirty.add(rendering.openFilesChanged(intake.catalog));
  }

  /** Somebody else wrote to these files. Has them written again, and the worker inspected: it may have loaded them. */
  onEdited(edited: readonly string[]): void {
    const { files, running, reconciler, watch } = this.#parts;
    running.drift.found(edited.map((file) => `another program changed ${file}`));
    files.config.doubted = true;
    reconciler.saveSoon();
    watch.inspectSoon();
  }

  /**
   * Checks that the worker was loaded from the configuration that pointsman wrote. A difference is drift, and pointsman repairs it by a
   * reload. If the reload does not repair it, HAProxy reads another file: pointsman tries again, with a longer pause each time.
   */
  #lookAtConfig(): void {
    const { running, reloads, troubles, timers, loop } = this.#parts;
    const difference = this.#configDifference();
    if (difference === undefined) {
      this.#foreignConfigs = 0;
      troubles.over('configuration');
      timers.disarm('drift');
      return;
    }
    if (timers.has('drift') || reloads.needs('drift')) return;
    const repair = () => {
      reloads.need({ kind: 'drift' });
      reloads.tryAgain();
      loop.wake();
    };
    troubles.failed('configuration', difference);
    if (this.#foreignConfigs === 0) {
      running.drift.found([difference]);
      repair();
    } else timers.arm('drift', backoffMs(retries, this.#foreignConfigs), repair);
    this.#foreignConfigs += 1;
  }

  #configDifference(): string | undefined {
    const { link, files, running } = this.#parts;
    const { loadedFrom, workerPid } = link;
    if (loadedFrom === undefined) return undefined;
    if (loadedFrom.mark !== files.config.mark) {
      return `the worker ${workerPid} loaded another haproxy.cfg than the last one that pointsman wrote`;
    }
    // A file that somebody edited has the mark, too.
    return running.foreign && files.config.seen.touched
      ? `another program changed haproxy.cfg or its map, and reloaded HAProxy (worker ${workerPid})`
      : undefined;
  }
}
