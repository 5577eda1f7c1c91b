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
