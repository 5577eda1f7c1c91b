/**
 * Aborts after `ms`, or with `signal` if that comes first. AbortSignal.any with AbortSignal.timeout cannot do this: in Node 20 it never
 * aborts after the garbage collector has taken the timeout signal (nodejs/node#54614). The timer does not keep the process alive.
 */
export function timeLimit(ms: number, signal?: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const onAbort = () => {
    clearTimeout(timer);
    controller.abort(signal?.reason);
  };
  const timer = setTimeout(() => {
    signal?.removeEventListener('abort', onAbort);
    controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
  }, ms);
  timer.unref();
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  return controller.signal;
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

/**
 * Runs a task that ends after `ms`, or with `signal`. When the task has ended, nothing listens to `signal` any more: for a signal that lives
 * much longer than the task.
 */
export async function within<T>(ms: number, signal: AbortSignal, task: (limit: AbortSignal) => Promise<T>): Promise<T> {
  const over = new AbortController();
  const onAbort = () => over.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await task(timeLimit(ms, over.signal));
  } finally {
    signal.removeEventListener('abort', onAbort);
    over.abort();
  }
}
