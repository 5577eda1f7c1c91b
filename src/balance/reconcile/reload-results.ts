import type { DirtySet } from '../../model/dirty-set.ts';
import type { Loaded } from '../reload/load-config.ts';
import type { OldWorkers } from '../reload/old-workers.ts';
import { loadedBy, type Reloads, slowMs } from '../reload/reloads.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Bisection } from './bisection.ts';
import type { Intake } from './intake.ts';
import type { Timers } from './loop.ts';
import type { ProcessWatch } from './process-watch.ts';
import type { Progress } from './progress.ts';
import type { Publishing } from './publishing.ts';
import type { Reconciler } from './reconciler.ts';
import type { Reloading } from './reloading.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';

export type ReloadResultsParts = Pick<BalancerParts, 'link' | 'openFiles' | 'quarantining'> & {
  readonly bisection: Bisection;
  readonly reloads: Reloads;
  readonly reloading: Reloading;
  readonly oldWorkers: OldWorkers;
  readonly intake: Intake;
  readonly rendering: Rendering;
  readonly running: Running;
  readonly reconciler: Reconciler;
  readonly publishing: Publishing;
  readonly progress: Pick<Progress, 'onApplied'>;
  readonly watch: ProcessWatch;
  readonly timers: Timers;
};
export function beginReload(parts: ReloadResultsParts): void {
  const { quarantining, reloading, intake, rendering, running, publishing, timers } = parts;
  // A round comes first, so that HAProxy loads the newest desired state.
  if (!intake.dirty.empty) return;
  const build = rendering.build(rendering.requested(intake.catalog), running.served, false);
  reloading.begin(build, quarantining.state);
  // The acknowledgement names then what waits for the reload; everything else counts as served.
  timers.arm('slow-reload', slowMs, () => publishing.publish());
}

/** Brings the state of the balancer up to date after a reload has ended. */
export function takeReload(parts: ReloadResultsParts): void {
  const { openFiles, quarantining, bisection, reloads, reloading, oldWorkers } = parts;
  const { intake, running, reconciler, progress, watch } = parts;
  const ended = reloading.take();
  if (ended === undefined || ended.result.kind === 'postponed') return;
  const { result, build, quarantine, meanwhile } = ended;
  if (result.kind !== 'reloaded') {
    if (result.kind === 'failed') watch.mustInspect = true;
    const restored = loadedBy(result);
    if (restored !== undefined) onLoaded(parts, restored, meanwhile);
    if (result.kind === 'failed' && openFiles.failed(result.reason, build.requested.catalog)) {
      // The next reload leaves out the instances that HAProxy has no open files for, and may succeed.
      reloads.planAnew();
      reconciler.markAllDirty();
      return;
    }
    bisection.begin(result, build);
    return;
  }
  oldWorkers.replaced(running.worker, result.services);
  onLoaded(parts, result, meanwhile);
  quarantining.proven(build.requested, quarantine);
  openFiles.loaded(build.requested.catalog);
  if (intake.dirty.empty) progress.onApplied(build.desired.revision);
}

/** A reload of pointsman made another worker. */
function onLoaded(
  { link, intake, running, reconciler, watch }: ReloadResultsParts,
  { workerPid, loaded }: Loaded,
  meanwhile: DirtySet,
): void {
  running.replaced(workerPid);
  // The connection leads to the old worker, which would accept every command and serve nothing of it.
  link.close();
  running.served = loaded;
  running.pendingRemovals.clear();
  // The new worker may not have the changes that pointsman made by command during the reload.
  intake.dirty.add(meanwhile);
  watch.mustInspect = true;
  reconciler.saveSoon();
}
