import type { Logger } from 'pino';
import type { CatalogLimits } from '../../catalog/limits.ts';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { describe } from '../../model/fault.ts';
import type { Templates } from '../../render/render.ts';
import type { FrameSettings } from '../../render/view.ts';
import type { Locating } from '../addresses/locating.ts';
import type { FirstChecks } from '../first-check/first-checks.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { Troubles } from '../observe/troubles.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { Overriding } from '../overrides/overriding.ts';
import { Bisection } from '../quarantine/bisection.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import { OldWorkers } from '../reload/old-workers.ts';
import type { PassingOn } from '../reload/passing-on.ts';
import type { ServicePace } from '../reload/reload-budget.ts';
import type { ReloadMetrics } from '../reload/reload-metrics.ts';
import { ReloadPacing } from '../reload/reload-pacing.ts';
import { Reloads } from '../reload/reloads.ts';
import type { ServerStates } from '../reload/server-states.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Storage } from '../state/storage.ts';
import { ConfigDrift } from './config-drift.ts';
import { Inspection } from './inspection.ts';
import { Intake } from './intake.ts';
import { Loop } from './loop.ts';
import { type CheckedHolder, PeriodicChecks } from './periodic-checks.ts';
import { ProcessWatch } from './process-watch.ts';
import { Progress } from './progress.ts';
import { Publishing } from './publishing.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';
import { Reconciler } from './reconciler.ts';
import { Rejections } from './rejections.ts';
import { ReloadResults } from './reload-results.ts';
import { Reloading } from './reloading.ts';
import { Removing } from './removing.ts';
import { Rendering } from './rendering.ts';
import { Retrying } from './retrying.ts';
import { Reuse } from './reuse.ts';
import { Running } from './running.ts';
import { Starting } from './starting.ts';
import { balancerTasks, unfinishedTask } from './tasks.ts';
import { Timers } from './timers.ts';
import { TroubleReview } from './trouble-review.ts';

export type BalancerParts = {
  readonly templates: Templates;
  readonly frame: FrameSettings;
  readonly haproxy: Haproxy;
  readonly link: RuntimeLink;
  readonly files: StateFiles;
  readonly states: ServerStates;
  readonly passingOn: PassingOn;
  readonly firstChecks: FirstChecks;
  readonly quarantining: Quarantining;
  readonly guarding: Guarding;
  readonly locating: Locating;
  readonly openFiles: OpenFilesLimit;
  /** The held entries of the registry; undefined where nothing is held. */
  readonly heldEntries?: CheckedHolder | undefined;
  readonly overriding: Overriding;
  readonly limits: CatalogLimits;
  readonly metrics: { readonly reconcile: ReconcileMetrics; readonly reload: ReloadMetrics };
  readonly logger: Logger;
  readonly reloadIntervalMs: number;
  /** How often the changes of one service may need a reload. */
  readonly servicePace: ServicePace;
  /** The largest number of workers of earlier reloads. pointsman ends the oldest beyond it. */
  readonly mostOldWorkers: number;
  /** See Reuse. */
  readonly reuseIntervalMs: number | undefined;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  readonly storage: Pick<Storage, 'status'>;
  readonly troubles: Troubles;
  /** Has the worker use the newest certificates and TLS files. */
  readonly lookAtFiles: () => void;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
};

/** Makes the parts that a balancer reconciles with. Each class gets the few things that it uses. */
export function wireReconciling(parts: BalancerParts) {
  const rounds = wireRounds(parts);
  const { timers, loop, watch, pacing, oldWorkers, reloads, reloading } = rounds;
  const { progress, rendering, intake, running, reconciler } = rounds;
  const { haproxy, link, files, states, passingOn, quarantining, openFiles } = parts;
  const { storage, troubles, metrics, logger, signal, now } = parts;
  const onEnd = (changed: boolean) => retrying.onBisected(changed);
  const bisection = new Bisection({ quarantining, reloads, metrics: metrics.reload, logger, signal, onEnd });
  const publishing = new Publishing({ reconciler, reloads, bisection, watch, loop });
  const retrying = new Retrying({
    ...{ quarantining, bisection, reloads, troubles, intake, rendering, running },
    ...{ reconciler, publishing, timers, loop },
  });
  const starting = new Starting({
    ...{ haproxy, files, states, quarantining, openFiles, logger, rendering, running, reloads, signal },
    metrics: metrics.reconcile,
    renderAll: () => retrying.renderAll(),
    markAllDirty: () => reconciler.markAllDirty(),
  });
  const removing = new Removing({ running, rendering, reconciler, timers, loop });
  const periodicChecks = new PeriodicChecks({
    ...{ haproxy, link, passingOn, oldWorkers, logger, timers, running, files, watch },
    holders: [parts.guarding, ...(parts.heldEntries === undefined ? [] : [parts.heldEntries])],
    busy: () => loop.turning !== undefined || reloading.loading,
    onEdited: (edited) => inspection.onEdited(edited),
  });
  const reuse = new Reuse({ link, running, reloads, timers, loop, now, reuseIntervalMs: parts.reuseIntervalMs });
  const configDrift = new ConfigDrift({ link, files, running, reloads, troubles, timers, loop });
  const inspection = new Inspection({
    ...{ link, files, openFiles, intake, rendering, running, reloading, reconciler },
    ...{ periodicChecks, configDrift, watch },
  });
  const reloadResults = new ReloadResults({
    ...{ link, openFiles, quarantining, bisection, reloads, reloading, oldWorkers, intake, rendering, running },
    ...{ reconciler, publishing, progress, watch, timers },
  });
  const tasks = balancerTasks({
    ...{ link, logger, signal, quarantining, troubles, intake, running, reloads, reloading, reconciler, bisection },
    ...{ starting, periodicChecks, inspection, removing, retrying, reloadResults, reuse, watch },
  });
  const review = new TroubleReview({
    ...{ troubles, haproxy, storage, openFiles, quarantining, pacing, reloads, oldWorkers },
    ...{ intake, rendering, reconciler, removing, progress, watch },
  });
  return { ...rounds, bisection, publishing, retrying, starting, periodicChecks, tasks, review };
}

/** The parts that render, plan and apply. */
function wireRounds(parts: BalancerParts) {
  const { haproxy, link, files, states, passingOn, firstChecks, quarantining, lookAtFiles } = parts;
  const { troubles, metrics, logger, now } = parts;
  const timers = new Timers((task, error) => {
    logger.warn({ event: 'patrol-failed', task, reason: describe(error) }, describe(error));
    watch.inspectSoon();
  });
  const loop = new Loop(timers);
  const watch = new ProcessWatch({ haproxy, link, troubles, logger, loop });
  const { pacing, oldWorkers, reloads } = wireReloads(parts);
  const { rejections, progress, rendering, intake } = wireDesired(parts);
  const running = new Running({
    ...{ haproxy, link, passingOn, firstChecks, states, lookAtFiles },
    ...{ oldWorkers, logger, now },
    metrics: metrics.reconcile,
  });
  const reloading = new Reloading({
    reloads,
    served: () => running.served,
    desired: () => rendering.desired,
    mayLoad: () => !watch.exited,
    onEnd: () => loop.hurry(),
  });
  const reconciler = new Reconciler({
    ...{ link, files, quarantining, intake, rendering, running, reloads, reloading, rejections },
    ...{ firstChecks, states, progress, now },
    othersDue: () => loop.isDueBeside(unfinishedTask),
  });
  return {
    ...{ timers, loop, watch, pacing, oldWorkers, reloads, reloading },
    ...{ rejections, progress, rendering, intake, running, reconciler },
  };
}

function wireReloads(parts: BalancerParts) {
  const { haproxy, files, states, passingOn, link, logger, now } = parts;
  const metrics = parts.metrics.reload;
  const pacing = new ReloadPacing({
    ...{ metrics, logger, now },
    pace: parts.servicePace,
    // Then half of the old workers are left when each has had its time.
    crowdedMs: (2 * parts.frame.hardStopAfterMs) / Math.max(1, parts.mostOldWorkers),
  });
  const oldWorkers = new OldWorkers({
    ...{ haproxy, metrics, logger },
    most: parts.mostOldWorkers,
    onCrowded: (crowded) => pacing.crowded(crowded),
  });
  const intervalMs = parts.reloadIntervalMs;
  const reloads = new Reloads({ haproxy, files, states, passingOn, pacing, link, metrics, logger, intervalMs, now });
  return { pacing, oldWorkers, reloads };
}

function wireDesired(parts: BalancerParts) {
  const { templates, frame, quarantining, guarding, locating, openFiles, overriding, limits } = parts;
  const { logger, now, wall } = parts;
  const metrics = parts.metrics.reconcile;
  const rejections = new Rejections({ metrics, logger, locating, openFiles });
  const progress = new Progress({ metrics, logger, now, wall });
  const rendering = new Rendering({
    ...{ templates, frame, quarantining, guarding, locating, openFiles, metrics, rejections },
  });
  const intake = new Intake({ guarding, locating, overriding, limits, metrics, rejections, progress });
  return { rejections, progress, rendering, intake };
}
