import { setMaxListeners } from 'node:events';

/**
 * Aborts after `ms`, or with `signal` if that comes first. AbortSignal.any with AbortSignal.timeout cannot do this: in Node 20 it never
 * aborts after the garbage collector has taken the timeout signal (nodejs/node#54614). The timer does not keep the process alive.
 */
export const timeLimit = (ms: number, signal?: AbortSignal): AbortSignal => startLimit(ms, signal).limit;

/** Makes a call with such a signal. When the call has ended, the signal aborts, and nothing listens to `signal` any more. */
export async function withTimeLimit<T>(
  ms: number,
  signal: AbortSignal,
  call: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const { limit, end } = startLimit(ms, signal);
  try {
    return await call(limit);
  } finally {
    end();
  }
}

/** Node.js makes a longer timer end at once. */
const longestTimerMs = 2 ** 31 - 1;

function startLimit(ms: number, signal: AbortSignal | undefined) {
  const controller = new AbortController();
  const end = (reason?: unknown) => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    controller.abort(reason);
  };
  const onAbort = () => end(signal?.reason);
  const atTimeout = () => end(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
  const timer = setTimeout(atTimeout, Math.min(ms, longestTimerMs));
  timer.unref();
  if (signal?.aborted) onAbort();
  else if (signal !== undefined) {
    // Thousands of calls may wait at the same time. From the 11th listener on, Node.js would warn of a leak.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', onAbort, { once: true });
  }
  return { limit: controller.signal, end };
}

/**
 * Resolves when the signal aborts, or at once if it has aborted. After `until` aborts it listens no more and never resolves: without
 * that, a signal that lives as long as the process would keep each listener.
 */
export function aborted(signal: AbortSignal, until?: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true, ...(until && { signal: until }) });
  });
}
