import { describe } from '../../model/fault.ts';
import type { TroublePart } from '../observe/troubles.ts';
import { OldWorkers } from '../reload/old-workers.ts';
import { ReloadPacing } from '../reload/reload-pacing.ts';
import { Reloads } from '../reload/reloads.ts';
import type { BalancerParts } from './balancer-parts.ts';
import { Bisection } from './bisection.ts';
import { Inspection } from './inspection.ts';
import { Intake } from './intake.ts';
import { Loop, Timers } from './loop.ts';
import { PendingRemovals } from './pending-removals.ts';
import { PeriodicChecks } from './periodic-checks.ts';
import { ProcessWatch } from './process-watch.ts';
import { Progress } from './progress.ts';
import { Publishing } from './publishing.ts';
import { Reconciler } from './reconciler.ts';
import { Rejections } from './rejections.ts';
import { Reloading } from './reloading.ts';
import { Rendering } from './rendering.ts';
import { Reuse } from './reuse.ts';
import { Rotation } from './rotation.ts';
import { Running } from './running.ts';
import { Starting } from './starting.ts';
import { balancerTasks, unfinishedTask } from './tasks.ts';
import { reviewTroubles } from './trouble-review.ts';

/** Makes the parts that a balancer reconciles with. Each class gets the few things that it uses. */
export function wireReconciling(parts: BalancerParts) {
  const rounds = wireRounds(parts);
  const { timers, loop, watch, pacing, oldWorkers, reloads, reloading } = rounds;
  const { progress, rendering, intake, rotation, running, reconciler } = rounds;
  const { haproxy, link, files, states, quarantining, openFiles, guarding, heldEntries } = parts;
  const { storage, troubles, logger, signal, now, reuseIntervalMs } = parts;
  const { pendingRemovals } = running;
  const bisection = new Bisection({
    ...{ quarantining, troubles, logger, signal, reloads, intake, rendering, running, reconciler, timers, loop },
    metrics: parts.metrics.reload,
    publish: () => publishing.publish(),
  });
  const publishing = new Publishing({ reconciler, reloads, bisection, watch, loop });
  const starting = new Starting({
    ...{ haproxy, files, states, quarantining, openFiles, logger, signal, rendering, running, reloads },
    metrics: parts.metrics.reconcile,
    renderAll: () => bisection.renderAll(),
    markAllDirty: () => reconciler.markAllDirty(),
  });
  const periodicChecks = new PeriodicChecks({
    ...{ haproxy, link, files, logger, oldWorkers, timers, running, watch },
    holders: heldEntries === undefined ? [guarding] : [guarding, heldEntries],
    busy: () => loop.turning !== undefined || reloading.loading,
    onEdited: (edited) => inspection.onEdited(edited),
  });
  const reuse = new Reuse({ link, running, reloads, timers, loop, now, reuseIntervalMs });
  const inspection = new Inspection({
    ...{ link, files, openFiles, troubles, intake, rendering, running, reloads, reloading, reconciler },
    ...{ periodicChecks, watch, timers, loop },
  });
  const tasks = balancerTasks({
    ...{ link, openFiles, quarantining, logger, signal, troubles, bisection, reloads, reloading, oldWorkers },
    ...{ intake, rendering, running, reconciler, publishing, progress, watch, timers },
    ...{ starting, periodicChecks, inspection, reuse, rotation },
  });
  const reviewed = {
    ...{ troubles, haproxy, storage, openFiles, quarantining, pacing, reloads, oldWorkers },
    ...{ intake, rendering, reconciler, pendingRemovals, progress, watch },
  };
  const review = (serving: boolean, succeeded?: TroublePart) => reviewTroubles(reviewed, serving, succeeded);
  return { ...rounds, bisection, publishing, starting, periodicChecks, tasks, review };
}

/** The parts that render, plan and apply. */
function wireRounds(parts: BalancerParts) {
  const { haproxy, link, files, states, firstChecks, quarantining, lookAtFiles, secretProblem } = parts;
  const { troubles, logger, now } = parts;
  const metrics = parts.metrics.reconcile;
  const timers = new Timers((task, error) => {
    logger.warn({ event: 'patrol-failed', task, reason: describe(error) }, describe(error));
    watch.inspectSoon();
  });
  const loop = new Loop(timers);
  const watch = new ProcessWatch({ haproxy, link, troubles, logger, loop });
  const { pacing, oldWorkers, reloads } = wireReloads(parts);
  const { rejections, progress, rendering, intake } = wireDesired(parts);
  const pendingRemovals = new PendingRemovals({ link, metrics, timers, loop });
  const rotation = new Rotation({
    ...{ link, timers, loop, logger, now },
    isRoundRobin: (name) => intake.catalog.services.get(name)?.policy.balance.kind === 'roundrobin',
  });
  const running = new Running({
    ...{ haproxy, link, firstChecks, states, lookAtFiles, pendingRemovals, oldWorkers, rotation, metrics, logger, now },
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
    ...{ pacing, firstChecks, states, progress, secretProblem, now },
    baseSettings: parts.baseSettings,
    othersDue: () => loop.isDueBeside(unfinishedTask),
  });
  return {
    ...{ timers, loop, watch, pacing, oldWorkers, reloads, reloading },
    ...{ rejections, progress, rendering, intake, rotation, running, reconciler },
  };
}

function wireReloads(parts: BalancerParts) {
  const { haproxy, files, states, passOn, link, logger, signal, now } = parts;
  const { servicePace: pace, mostOldWorkers: most } = parts;
  const metrics = parts.metrics.reload;
  // Then half of the old workers are left when each has had its time.
  const crowdedMs = (2 * parts.baseSettings.hardStopAfterMs) / Math.max(1, most);
  const pacing = new ReloadPacing({ pace, crowdedMs, metrics, logger, now });
  const onCrowded = (crowded: boolean) => pacing.crowded(crowded);
  const oldWorkers = new OldWorkers({ haproxy, passOn, most, onCrowded, metrics, logger });
  const intervalMs = parts.reloadIntervalMs;
  const reloads = new Reloads({
    ...{ haproxy, files, states, oldWorkers, pacing, link, metrics, logger, signal, intervalMs, now },
  });
  return { pacing, oldWorkers, reloads };
}

function wireDesired(parts: BalancerParts) {
  const { templates, baseSettings, quarantining, guarding, ejecting, locating, openFiles, overriding, limits } = parts;
  const { logger, now, wall } = parts;
  const metrics = parts.metrics.reconcile;
  const rejections = new Rejections({ metrics, logger, locating, openFiles });
  const progress = new Progress({ metrics, logger, now, wall });
  const rendering = new Rendering({
    ...{ templates, baseSettings, quarantining, guarding, ejecting, locating, openFiles, metrics, rejections },
  });
  const intake = new Intake({ guarding, ejecting, locating, overriding, limits, metrics, rejections, progress });
  return { rejections, progress, rendering, intake };
}
