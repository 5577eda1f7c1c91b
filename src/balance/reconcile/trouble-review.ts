import type { TroublePart } from '../observe/troubles.ts';
import type { OldWorkers } from '../reload/old-workers.ts';
import type { ReloadPacing } from '../reload/reload-pacing.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Intake } from './intake.ts';
import type { PendingRemovals } from './pending-removals.ts';
import type { ProcessWatch } from './process-watch.ts';
import type { Progress } from './progress.ts';
import type { Reconciler } from './reconciler.ts';
import type { Rendering } from './rendering.ts';

type TroubleReviewParts = Pick<BalancerParts, 'troubles' | 'haproxy' | 'storage' | 'openFiles' | 'quarantining'> & {
  readonly pacing: Pick<ReloadPacing, 'trouble'>;
  readonly reloads: Pick<Reloads, 'obstacle' | 'pending' | 'dueInMs' | 'paced'>;
  readonly oldWorkers: Pick<OldWorkers, 'trouble'>;
  readonly intake: Pick<Intake, 'dirty'>;
  readonly rendering: Pick<Rendering, 'checkTrouble'>;
  readonly reconciler: Pick<Reconciler, 'unfinished' | 'observer'>;
  readonly pendingRemovals: Pick<PendingRemovals, 'due'>;
  readonly progress: Pick<Progress, 'waitingMs'>;
  readonly watch: Pick<ProcessWatch, 'exited' | 'mustInspect'>;
};

// Longer than a bisection.
const longWaitMs = 15_000;

/** Brings the list of troubles up to date. `succeeded`: the part whose task has just succeeded. */
export function reviewTroubles(parts: TroubleReviewParts, serving: boolean, succeeded: TroublePart | undefined): void {
  const { troubles, haproxy, storage, openFiles, quarantining, pacing, reloads, oldWorkers } = parts;
  const { intake, rendering, reconciler, pendingRemovals, progress, watch } = parts;
  const mayFail: readonly (readonly [TroublePart, boolean])[] = [
    ['haproxy', watch.exited],
    ['inspection', watch.mustInspect && succeeded !== 'inspection'],
    ['rounds', (!intake.dirty.empty || reconciler.unfinished) && succeeded !== 'rounds'],
    ['burial', pendingRemovals.due && succeeded !== 'burial'],
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
  troubles.is('acknowledgement', reconciler.observer?.trouble);
  const [unsaved] = storage.status();
  troubles.is('storage', unsaved && `the ${unsaved.what}: ${unsaved.reason}`);
  const isDue = pending.length === 0 || dueInMs === 0;
  const waits = serving && isDue && progress.waitingMs > longWaitMs;
  troubles.is('waiting', waits ? `for ${Math.round(progress.waitingMs / 1000)} s` : undefined);
}
