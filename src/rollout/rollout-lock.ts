import { Fault } from '../model/fault.ts';
import { formatInstant } from '../model/instant.ts';
import type { ServiceName } from '../model/name.ts';
import type { Registry } from '../registry/registry.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import type { StepResult } from './rollout-host.ts';

/** How long a rollout that was killed keeps others out, in ms. */
const ttlMs = 15_000;
/** How long the registry is asked while it does not answer, in ms: at the beginning, and during a rollout. */
const answerMs = { first: 10_000, later: 30_000 } as const;

export type RolloutLock = {
  /**
   * Whether no other rollout has begun. The key of a registry that was unavailable for longer than its lease may be gone: it is then
   * put again. Rejects with a Fault when the registry does not answer.
   */
  confirm(): Promise<StepResult>;
  /** Lets the next rollout begin. Never rejects. */
  release(): Promise<void>;
};

/** Who runs a rollout, for people. */
export type RolloutHolder = {
  /** `user@host`. */
  readonly by: string;
  /** In ms since 1970. */
  readonly since: number;
};

/**
 * Lets one rollout of a service run at a time: each counts the containers that appear as its own, so one of two would remove those that the other
 * one has just started. Rejects with Fault `key-owned` while another one runs.
 */
export async function lockRollout(
  registry: Registry,
  service: ServiceName,
  { by, since }: RolloutHolder,
): Promise<RolloutLock> {
  // In the area of waits, which operators may write, and which nothing holds or exports.
  const key = `waits/rollout-${service}`;
  const value = JSON.stringify({ by, since: formatInstant(since) });
  let holder = '';
  const session = registry.openSession({
    ttlMs,
    mayReplace(_, held) {
      holder = held;
      return false;
    },
    onEvent(event) {
      if (event.kind === 'taken') holder = event.holder;
    },
  });
  const release = () => session.close(timeLimit(2000));
  const put = (limitMs: number) => session.put(key, value, timeLimit(limitMs));
  try {
    await put(answerMs.first);
  } catch (error) {
    await release();
    if (!isOwned(error)) throw error;
    throw new Fault('key-owned', `another rollout of ${service} runs, ${describeHolder(holder)}`, {
      hint: 'wait until it has ended; one that was killed keeps others out for 15 s',
      cause: error,
    });
  }
  return {
    release,
    async confirm() {
      try {
        await put(answerMs.later);
        return { ok: true };
      } catch (error) {
        if (!isOwned(error)) throw error;
        const because = `another rollout of ${service} has begun, ${describeHolder(holder)}, while the registry was unavailable: it counts all containers as its own`;
        return { ok: false, because };
      }
    },
  };
}

const isOwned = (error: unknown): boolean => error instanceof Fault && error.code === 'key-owned';

/** `by ada@desk since 2026-01-31T09:30:00Z`. */
function describeHolder(value: string): string {
  try {
    const { by, since }: { readonly by?: unknown; readonly since?: unknown } = JSON.parse(value);
    return `by ${String(by)}${since === undefined ? '' : ` since ${String(since)}`}`;
  } catch {
    return `by ${value}`;
  }
}
