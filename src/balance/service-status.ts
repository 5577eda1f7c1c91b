import { setTimeout as pause } from 'node:timers/promises';
import { blocking, type TroubleStatus } from './observe/troubles.ts';
import type { ServiceManager } from './service-manager.ts';

export type ServiceStatusParts = {
  readonly manager: ServiceManager;
  /** The address for HTTP. */
  readonly bind: string;
  /** What the balancer does now. */
  readonly state: () => ServingState;
  /** Aborted when the balancer tells the service manager about its end. */
  readonly signal: AbortSignal;
};

export type ServingState = {
  /** The settings or templates changed, and HAProxy has not loaded them. */
  readonly baseWaits: boolean;
  readonly troubles: readonly TroubleStatus[];
};

/** How long a start waits until HAProxy has loaded the settings, in ms. */
const startedMs = 10_000;
const everyMs = 1000;
const startEveryMs = 50;

/** Tells the service manager that the balancer is started, and from then on whether it is ready. Resolves when it is started. */
export async function keepStatus({ manager, bind, state, signal }: ServiceStatusParts): Promise<void> {
  const deadline = performance.now() + startedMs;
  // An HAProxy that was taken over serves the settings of before until a reload.
  while (isStarting(state()) && performance.now() < deadline && !signal.aborted) await pause(startEveryMs);
  if (signal.aborted) return;
  const began = state();
  let said = describeServing(bind, began, blockingNow(began));
  manager.started(said);
  const timer = setInterval(() => {
    const now = state();
    const text = describeServing(bind, now, blocking(now.troubles));
    if (text === said) return;
    said = text;
    manager.says(text);
  }, everyMs).unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

const blockingNow = ({ troubles }: ServingState): readonly TroubleStatus[] => troubles.filter(({ blocks }) => blocks);

const isStarting = (state: ServingState): boolean => state.baseWaits && blockingNow(state).length === 0;

/** One line for a person, as the status of `systemctl status`. */
export function describeServing(bind: string, { baseWaits }: ServingState, blocks: readonly TroubleStatus[]): string {
  const [trouble] = blocks;
  if (trouble === undefined)
    return `serves ${baseWaits ? 'the settings of before; a reload waits' : `on http://${bind}`}`;
  const what = `${trouble.means}: ${trouble.reason}`;
  return baseWaits ? `serves the settings of before; ${what}` : `not ready; ${what}`;
}
