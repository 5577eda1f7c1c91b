/**
 * A writer appends its record and then renames its file: a few ms, or 250 ms on a machine in trouble. Until then a missing or
 * older file means nothing; after that its writer has died or stopped.
 */
const graceMs = 250;

type Observation = { readonly what: string; readonly timer: NodeJS.Timeout; due: boolean };

/** Waits before an observation of a file is taken as final. */
export class Grace {
  readonly #onDue: (key: string) => void;
  readonly #observed = new Map<string, Observation>();

  /** `onDue`: the key has to be observed again. */
  constructor(onDue: (key: string) => void) {
    this.#onDue = onDue;
  }

  /** Whether `what` was observed of the key before, and again after the grace. */
  isOver(key: string, what: string): boolean {
    const before = this.#observed.get(key);
    if (before?.what === what) {
      if (before.due) this.#observed.delete(key);
      return before.due;
    }
    if (before !== undefined) clearTimeout(before.timer);
    const timer = setTimeout(() => {
      fresh.due = true;
      this.#onDue(key);
    }, graceMs);
    const fresh = { what, timer, due: false };
    this.#observed.set(key, fresh);
    return false;
  }

  close(): void {
    for (const { timer } of this.#observed.values()) clearTimeout(timer);
    this.#observed.clear();
  }
}
