import type { Haproxy } from '../../haproxy/haproxy.ts';
import type { TroublePart, Troubles } from '../observe/troubles.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { OldWorkers } from '../reload/old-workers.ts';
import type { ReloadPacing } from '../reload/reload-pacing.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { Storage } from '../state/storage.ts';
import type { Intake } from './intake.ts';
import type { ProcessWatch } from './process-watch.ts';
import type { Progress } from './progress.ts';
import type { Reconciler } from './reconciler.ts';
import type { Removing } from './removing.ts';
import type { Rendering } from './rendering.ts';

type TroubleReviewParts = {
  readonly troubles: Troubles;
  readonly haproxy: Pick<Haproxy, 'versionDiffers'>;
  readonly storage: Pick<Storage, 'status'>;
  readonly openFiles: Pick<OpenFilesLimit, 'trouble'>;
  readonly quarantining: Pick<Quarantining, 'refusedTemplate'>;
  readonly pacing: Pick<ReloadPacing, 'trouble'>;
  readonly reloads: Pick<Reloads, 'obstacle' | 'pending' | 'dueInMs' | 'paced'>;
  readonly oldWorkers: Pick<OldWorkers, 'trouble'>;
  readonly intake: Pick<Intake, 'dirty'>;
  readonly rendering: Pick<Rendering, 'checkTrouble'>;
  readonly reconciler: Pick<Reconciler, 'unfinished' | 'observerTrouble'>;
  readonly removing: Pick<Removing, 'due'>;
  readonly progress: Pick<Progress, 'waitingMs'>;
  readonly watch: Pick<ProcessWatch, 'exited' | 'mustInspect'>;
};

// Longer than a bisection.
const longWaitMs = 15_000;

/** Brings the list of troubles up to date. */
export class TroubleReview {
  readonly #parts: TroubleReviewParts;

  constructor(parts: TroubleReviewParts) {
    this.#parts = parts;
  }

  /** `succeeded`: the part whose task has just succeeded. */
  review(serving: boolean, succeeded: TroublePart | undefined): void {
    const { troubles, haproxy, storage, openFiles, quarantining, pacing, reloads, oldWorkers } = this.#parts;
    const { intake, rendering, reconciler, removing, progress, watch } = this.#parts;
    const mayFail: readonly (readonly [TroublePart, boolean])[] = [
      ['haproxy', watch.exited],
      ['inspection', watch.mustInspect && succeeded !== 'inspection'],
      ['rounds', (!intake.dirty.empty || reconciler.unfinished) && succeeded !== 'rounds'],
      ['burial', removing.due && succeeded !== 'burial'],
    ];
    for (const [part, wanted] of mayFail) if (!wanted) troubles.over(part);
    const { obstacle, pending, dueInMs, paced } = reloads;
    // An attempt that goes on has not succeeded yet.
    if (obstacle !== undefined || pending.length === 0) troubles.is('reload', obstacle);
    troubles.is('reload-pace', pacing.trouble(paced));
    troubles.is('check-pace', rendering.checkTrouble);
    troubles.is('old-workers', oldWorkers.trouble);
    troubles.is('template', quarantining.refusedTemplate);
    troubles.is('haproxy-version', haproxy.versionDiffers);
    troubles.is('open-files', openFiles.trouble);
    troubles.is('acknowledgement', reconciler.observerTrouble);
    const [unsaved] = storage.status();
    troubles.is('storage', unsaved && `the ${unsaved.what}: ${unsaved.reason}`);
    const isDue = pending.length === 0 || dueInMs === 0;
    const waits = serving && isDue && progress.waitingMs > longWaitMs;
    troubles.is('waiting', waits ? `for ${Math.round(progress.waitingMs / 1000)} s` : undefined);
  }
}
