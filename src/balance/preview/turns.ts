import { setImmediate as immediate } from 'node:timers/promises';

/** Work that lets others have their turn: a balancer must not stand still while it answers a question. */
export class Turns {
  readonly #now: () => number;
  readonly #sliceMs: number;
  readonly #signal: AbortSignal;
  #began: number;
  #busyMs = 0;

  constructor(now: () => number, sliceMs: number, signal: AbortSignal) {
    this.#now = now;
    this.#sliceMs = sliceMs;
    this.#signal = signal;
    this.#began = now();
  }

  /** How long the work took, without the turns of others, in ms. */
  get busyMs(): number {
    return this.#busyMs + (this.#now() - this.#began);
  }

  /** To be called between two pieces of work. Waits if the slice is used up. Rejects when the signal has aborted. */
  async next(): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#now() - this.#began >= this.#sliceMs) await this.others(() => immediate());
  }

  /** Waits for work of others, which is not counted. */
  async others<T>(work: () => Promise<T>): Promise<T> {
    this.#busyMs += this.#now() - this.#began;
    try {
      return await work();
    } finally {
      this.#began = this.#now();
    }
  }
}

/** The items in pieces of this size. */
export function* piecesOf<T>(items: Iterable<T>, size: number): Generator<readonly T[]> {
  let piece: T[] = [];
  for (const item of items) {
    piece.push(item);
    if (piece.length < size) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}
