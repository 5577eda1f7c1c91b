import { setTimeout as pause } from 'node:timers/promises';
import type { DuplexCall } from './grpc-channel.ts';

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

/** A stream that a member opens in time. One that comes too late is cancelled. */
export async function openStream<T>(opening: Promise<DuplexCall<T>>, ms: number): Promise<DuplexCall<T>> {
  try {
    return await within(opening, ms, 'the member opened no stream');
  } catch (error) {
    opening.then(
      (call) => call.cancel(),
      () => undefined,
    );
    throw error;
  }
}
