/** From this many hosts on, the authority itself is the likely cause. */
const severalHosts = 3;

/** The hosts whose orders the authority could not carry out: one of them may be its cause, several in a row are not. */
export class Unanswered {
  readonly #times = new Map<string, number>();
  readonly #row = new Set<string>();

  /** Gives how often it was so for this host in a row, and whether it was so for several hosts in a row. */
  add(host: string): { readonly times: number; readonly isForAll: boolean } {
    const times = (this.#times.get(host) ?? 0) + 1;
    this.#times.set(host, times);
    this.#row.add(host);
    return { times, isForAll: this.#row.size >= severalHosts };
  }

  /** To be called when the authority has carried out, or refused, an order of this host. */
  answered(host: string): void {
    this.#times.delete(host);
    this.#row.clear();
  }
}
