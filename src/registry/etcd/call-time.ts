import { setTimeout as pause } from 'node:timers/promises';
import type { DuplexCall } from './grpc-channel.ts';

/** A member that takes longer than this, in ms, is given up, unless the link is known to need more. */
export const leastCallMs = 2000;
/** A round trip of 1.9 s fits in this. More would be time lost after a partition. */
const mostCallMs = 8000;

/**
 * How long a call to etcd may take, in ms: what the link needs. A new connection costs up to four round trips before the
 * first answer (TCP, TLS, HTTP/2, the call), and every call at least one.
 */
export class CallTime {
  readonly #most: number;
  #ms = leastCallMs;

  constructor(most = mostCallMs) {
    this.#most = most;
  }

  get ms(): number {
    return this.#ms;
  }

  /** How many times longer than at first, for deadlines of other kinds: 1, 2, 4 … */
  get stretch(): number {
    return this.#ms / leastCallMs;
  }

  /** A call had no answer in time: either the member is gone or the link needs longer. The next one gets twice the time. */
  silent(): void {
    this.#ms = Math.min(this.#most, 2 * this.#ms);
  }

  /** A call took this long. Half the time is enough when a new connection at this pace would still fit in it. */
  answered(tookMs: number): void {
    if (tookMs < this.#ms / 8) this.#ms = Math.max(leastCallMs, this.#ms / 2);
  }
}

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
