import { Fault } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import type { Registry } from '../registry/registry.ts';
import { timeLimit } from '../waiting/time-limit.ts';

/** How long a rollout that was killed keeps others out, in ms. */
const ttlMs = 15_000;
const answerMs = 10_000;

/**
 * Lets one rollout of a service run at a time: each counts the containers that appear as its own, so one of two would remove those that the other
 * one has just started. Resolves with what ends it. Rejects with Fault `key-owned` while another one runs. `by`: who runs it, for people.
 */
export async function lockRollout(registry: Registry, service: ServiceName, by: string): Promise<() => Promise<void>> {
  const session = registry.openSession({ ttlMs, mayReplace: () => false, onEvent: () => undefined });
  const end = () => session.close(timeLimit(2000));
  try {
    // In the area of waits, which operators may write, and which nothing holds or exports.
    await session.put(`waits/rollout-${service}`, JSON.stringify({ by }), timeLimit(answerMs));
  } catch (error) {
    await end();
    if (!(error instanceof Fault) || error.code !== 'key-owned') throw error;
    throw new Fault('key-owned', `another rollout of ${service} runs: ${error.message}`, {
      where: `rollout ${service}`,
      hint: 'wait until it has ended; one that was killed keeps others out for 15 s',
      cause: error,
    });
  }
  return end;
}
