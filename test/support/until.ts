import { setTimeout as pause } from 'node:timers/promises';

/**
 * Waits until `condition` gives something other than undefined or false, and returns it. A condition that throws counts
 * as not yet; the last error is in the message when the deadline passes.
 */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  { deadlineMs = 30_000, everyMs = 10 } = {},
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${deadlineMs} ms: ${what}`, last === undefined ? undefined : { cause: last });
    }
    await pause(everyMs);
  }
}
