import { setMaxListeners } from 'node:events';

/**
 * Runs `work` with a signal that aborts with the first of these. Not AbortSignal.any: in Node 20 each of its signals leaves
 * about 75 bytes in the ones it follows, and ours live as long as the process.
 */
export async function untilAny<T>(
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const first = new AbortController();
  const listening = signals.filter((signal) => signal !== undefined);
  // Thousands may wait at once, and each is let go of.
  setMaxListeners(0, ...listening);
  const onAbort = () => first.abort(listening.find(({ aborted }) => aborted)?.reason);
  for (const signal of listening) signal.addEventListener('abort', onAbort);
  if (listening.some(({ aborted }) => aborted)) onAbort();
  try {
    return await work(first.signal);
  } finally {
    for (const signal of listening) signal.removeEventListener('abort', onAbort);
  }
}
