/** Remembers the last reason of each key, so that a log has one line for a reason and not one for each attempt. */
export class OncePerReason {
  readonly #last = new Map<string, { readonly reason: string; readonly at: number }>();
  readonly #remindMs: number;
  readonly #now: () => number;

  /** The same reason counts as new again after `remindMs`; by default it never does. `now` is monotonic, in ms. */
  constructor({
    remindMs = Number.POSITIVE_INFINITY,
    now = () => performance.now(),
  }: { readonly remindMs?: number; readonly now?: () => number } = {}) {
    this.#remindMs = remindMs;
    this.#now = now;
  }

  /** Whether the log needs a line for this reason. `undefined` clears the key: the next reason is new. */
  isNew(key: string, reason: string | undefined): boolean {
    if (reason === undefined) {
      this.#last.delete(key);
      return false;
    }
    const last = this.#last.get(key);
    const at = this.#now();
    if (last?.reason === reason && at - last.at < this.#remindMs) return false;
    this.#last.set(key, { reason, at });
    return true;
  }

  /** Clears all other keys. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#last.keys()) if (!keys.has(key)) this.#last.delete(key);
  }
}
