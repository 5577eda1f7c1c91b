import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { ConfigDrift } from './config-drift.ts';
import type { Intake } from './intake.ts';
import type { PeriodicChecks } from './periodic-checks.ts';
import type { ProcessWatch } from './process-watch.ts';
import type { Reconciler } from './reconciler.ts';
import type { Reloading } from './reloading.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';

type InspectionParts = {
  readonly link: Pick<RuntimeLink, 'limits'>;
  readonly files: Pick<StateFiles, 'doubt'>;
  readonly openFiles: Pick<OpenFilesLimit, 'met'>;
  readonly intake: Intake;
  readonly rendering: Rendering;
  readonly running: Running;
  readonly reloading: Pick<Reloading, 'loading'>;
  readonly reconciler: Reconciler;
  readonly periodicChecks: Pick<PeriodicChecks, 'lookAgain'>;
  readonly configDrift: ConfigDrift;
  readonly watch: ProcessWatch;
};

/** Reads what the worker really runs. The next round repairs the difference. */
export class Inspection {
  readonly #parts: InspectionParts;

  constructor(parts: InspectionParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    const { files, intake, running, reloading, reconciler, configDrift, watch } = this.#parts;
    if (await running.meet()) this.#met();
    // HAProxy replaces the worker meanwhile. pointsman inspects the new one.
    if (reloading.loading) return;
    configDrift.look();
    watch.inspected();
    const differs = await running.readBack();
    if (differs) {
      files.doubt();
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
    running.drift.found(edited.map((file) => `somebody else changed ${file}`));
    files.doubt();
    reconciler.saveSoon();
    watch.inspectSoon();
  }
}
