/** Whether something outside of this process answers. */
export type ConnectionState = {
  /** Why it does not answer; undefined while it does. */
  readonly reason: string | undefined;
  /** How long it has not answered, in ms; 0 while it does. */
  readonly staleMs: number;
  /** Whether it answered before. */
  readonly known: boolean;
  /** How often it stopped to answer. */
  readonly losses: number;
};

/** Remembers whether something answers, and since when it does not: for metrics and readiness. */
export class Connection {
  readonly #now: () => number;
  #lost: { readonly reason: string; readonly at: number } | undefined;
  #known = false;
  #losses = 0;

  /** `now` is monotonic, in ms. */
  constructor(now: () => number) {
    this.#now = now;
    this.#lost = { reason: 'it has not answered yet', at: now() };
  }

  answers(): void {
    this.#known = true;
    this.#lost = undefined;
  }

  lost(reason: string): void {
    if (this.#lost === undefined) this.#losses += 1;
    this.#lost = { reason, at: this.#lost?.at ?? this.#now() };
  }

  get state(): ConnectionState {
    return {
      reason: this.#lost?.reason,
      staleMs: this.#lost === undefined ? 0 : this.#now() - this.#lost.at,
      known: this.#known,
      losses: this.#losses,
    };
  }
}
