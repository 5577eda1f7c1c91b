import { setTimeout as pause } from 'node:timers/promises';
import type { IDuplexStream } from 'etcd3';

/** The promise's value, or a rejection after so many ms; the promise itself is left to its own end. */
export async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  const timer = new AbortController();
  const late = pause(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} within ${ms} ms`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}

/** A stream that a member opens in time. One that comes too late is cancelled, and its error is nobody's. */
export async function openStream<T, R>(
  opening: Promise<IDuplexStream<T, R>>,
  ms: number,
): Promise<IDuplexStream<T, R>> {
  try {
    return await within(opening, ms, 'the member opened no stream');
  } catch (error) {
    opening.then(
      (stream) => {
        stream.on('error', () => undefined);
        stream.cancel();
      },
      () => undefined,
    );
    throw error;
  }
}
