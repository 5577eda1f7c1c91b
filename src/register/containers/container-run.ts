import { constants } from 'node:os';
import type { Container, EngineEvent } from '../../engine/container.ts';
import { harmlessSignal } from '../../engine/signals.ts';

/**
 * The stage of a container's present run.
 *
 * - `up`: nobody asked it to end.
 * - `leaving`: the engine sent its harmless stop signal, so the application goes on until the agent passes SIGTERM on.
 * - `left`: the agent has passed it on.
 * - `ending`: it got a signal that ends it, or has ended.
 */
export type Stage = 'up' | 'leaving' | 'left' | 'ending';

/** A container as the agent last saw it. */
export type SeenContainer = { readonly container: Container; readonly stage: Stage };

const { SIGTERM, SIGKILL } = constants.signals;

/** The container after an event, before anybody asks the engine about it: each ms counts for a container that ends. */
export function afterEvent(seen: SeenContainer, event: EngineEvent): SeenContainer {
  const { container, stage } = seen;
  // An inspection can overtake the events of the run before.
  if (happenedMs(event) < Date.parse(container.startedAt)) return seen;
  switch (event.action) {
    case 'kill':
      return event.signal === undefined ? seen : afterSignal(seen, event.signal);
    case 'die':
    case 'destroy':
    case 'remove':
      return { container, stage: 'ending' };
    case 'pause':
      return { container: { ...container, phase: 'paused' }, stage };
    default:
      return seen;
  }
}

function afterSignal(seen: SeenContainer, signal: number): SeenContainer {
  const { container, stage } = seen;
  if (signal === harmlessSignal && container.stopSignal === harmlessSignal) {
    return stage === 'up' ? { container, stage: 'leaving' } : seen;
  }
  // Another signal, SIGHUP for one, is a message to the application. SIGTERM after a leave is the agent's own.
  const ends = signal === container.stopSignal || signal === SIGTERM || signal === SIGKILL;
  return ends && stage !== 'left' ? { container, stage: 'ending' } : seen;
}

/**
 * The container after an inspection; undefined when it does not run. A run that ends does not come back, only another run does. `kills`:
 * the known `kill` events of the container. A run that is seen for the first time may have been asked to end already.
 */
export function afterInspection(
  before: SeenContainer | undefined,
  container: Container,
  kills: readonly EngineEvent[] = [],
): SeenContainer | undefined {
  if (container.phase === 'over') return undefined;
  const same = before?.container.startedAt === container.startedAt;
  const { stage } = same ? before : kills.reduce(afterEvent, { container, stage: 'up' });
  if (container.phase !== 'stopping' || stage !== 'up') return { container, stage };
  return { container, stage: container.stopSignal === harmlessSignal ? 'leaving' : 'ending' };
}

const happenedMs = ({ timeNano }: EngineEvent): number => Math.floor(Number(timeNano) / 1e6);
