import { describe, Fault } from '../../model/fault.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Inspection } from './inspection.ts';
import type { LoopWork, Task } from './loop.ts';
import type { PeriodicChecks } from './periodic-checks.ts';
import { beginReload, type ReloadResultsParts, takeReload } from './reload-results.ts';
import type { Reuse } from './reuse.ts';
import type { Rotation } from './rotation.ts';
import type { Starting } from './starting.ts';

type TasksParts = ReloadResultsParts &
  Pick<BalancerParts, 'logger' | 'signal' | 'troubles'> & {
    readonly starting: Starting;
    readonly periodicChecks: Pick<PeriodicChecks, 'answered'>;
    readonly inspection: Inspection;
    readonly reuse: Pick<Reuse, 'changed'>;
    readonly rotation: Pick<Rotation, 'due' | 'renew'>;
  };

/** The task that goes on with a round whose plan had very many steps. */
export const unfinishedTask = 'unfinished';

/**
 * What the loop does, the most urgent first. A check, a reload and a bisection may take half a minute: tasks begin them, and they go on
 * next to the loop, one at a time.
 */
export function balancerTasks(parts: TasksParts): Omit<LoopWork, 'onDone'> {
  const { link, quarantining, intake, rendering, running, reloads, reloading, reconciler } = parts;
  const { bisection, inspection, reuse, rotation, watch } = parts;
  const { pendingRemovals } = running;
  /** While HAProxy loads a configuration, commands go to the worker that serves for as long as the connection lasts. */
  const mayCommand = () => link.connected || !reloading.loading;
  const nothingBeside = () => bisection.ongoing === undefined && !reloading.busy;
  const connected = (run: () => Promise<void>) => () => (link.connected ? run() : inspection.run());
  const round = connected(async () => {
    await reconciler.reconcile();
    reuse.changed();
    pendingRemovals.arm();
    if (quarantining.hasCandidates) bisection.armRetry();
  });
  const tasks: readonly Task[] = [
    // Before `start`: HAProxy starts on the configuration that it loaded last, and `served` has to say which that is.
    { name: 'reload', due: () => reloading.ended, run: async () => takeReload(parts) },
    { name: 'start', part: 'haproxy', due: () => watch.exited && !reloads.loading, run: () => startAgain(parts) },
    {
      name: 'inspect',
      part: 'inspection',
      due: () => watch.mustInspect && !reloading.loading,
      run: () => inspection.run(),
    },
    { name: 'round', part: 'rounds', yields: true, due: () => !intake.dirty.empty && mayCommand(), run: round },
    {
      name: 'remove',
      part: 'burial',
      due: () => pendingRemovals.due && mayCommand(),
      run: connected(async () => {
        if (await running.removePending(rendering.desired)) reconciler.saveSoon();
        pendingRemovals.arm();
      }),
    },
    {
      name: 'rotate',
      part: 'rounds',
      due: () => rotation.due && mayCommand(),
      run: connected(() => rotation.renew(running.served)),
    },
    {
      name: 'begin-reload',
      part: 'reload',
      due: () => reloads.dueInMs === 0 && nothingBeside(),
      run: connected(async () => beginReload(parts)),
    },
    {
      name: 'retry-quarantine',
      due: () => bisection.retryDue && nothingBeside(),
      run: connected(async () => bisection.retry()),
    },
    {
      name: unfinishedTask,
      part: 'rounds',
      yields: true,
      due: () => reconciler.unfinished && mayCommand(),
      run: round,
    },
  ];
  return {
    tasks,
    onFailure: (error, task) => onFailure(parts, error, task),
    dueInMs: () => (nothingBeside() ? reloads.dueInMs : undefined),
  };
}

async function startAgain({ link, intake, running, starting, periodicChecks, watch }: TasksParts): Promise<void> {
  link.close();
  running.pendingRemovals.clear();
  const { exits } = watch;
  await starting.again(intake.catalog);
  watch.mustInspect = true;
  if (watch.exits !== exits) return;
  periodicChecks.answered();
  watch.exited = false;
}

/** Returns whether the loop has to pause. */
function onFailure(
  { logger, signal, troubles, reloading, reconciler, watch }: TasksParts,
  error: unknown,
  { name, part }: Task,
): boolean {
  watch.mustInspect = true;
  reconciler.doubt();
  const reason = describe(error);
  // The end of pointsman ended a check, for example.
  if (signal?.aborted) {
    logger.debug({ event: 'round-ended', reason }, reason);
    return false;
  }
  // The task failed because HAProxy ended. The log has that already, and the next task starts HAProxy.
  if (watch.exited && name !== 'start') return false;
  // HAProxy has most likely replaced the worker. The new one gets the commands.
  if (reloading.loading) {
    logger.debug({ event: 'round-ended', reason }, reason);
    return true;
  }
  if (part !== undefined) troubles.failed(part, reason);
  const code = error instanceof Fault ? error.code : undefined;
  logger.error({ event: 'round-failed', reason, code }, reason);
  return true;
}
