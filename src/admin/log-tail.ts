/** A line of the log, as an object, numbered in the order in which they were written. */
export type TailEntry = { readonly id: number; readonly line: string };

const size = 500;
const mostListeners = 64;
const traffic = /"event":"(request|connection)"/;

/** The newest lines of the log: what happened last, for `events` and the page. A stream as pino writes to. */
export class LogTail {
  readonly #lines: TailEntry[] = [];
  readonly #listeners = new Set<(entry: TailEntry) => void>();
  #next = 1;

  /** Takes one line, as JSON with its newline. Requests are not what happened to a balancer. */
  write(line: string): void {
    if (traffic.test(line)) return;
    const entry = { id: this.#next, line: line.trimEnd() };
    this.#next += 1;
    this.#lines.push(entry);
    if (this.#lines.length > size) this.#lines.shift();
    for (const listener of this.#listeners) listener(entry);
  }

  /** Those after `id`, oldest first, at most the newest `most` of them. */
  after(id: number, most = size): readonly TailEntry[] {
    return this.#lines.filter((entry) => entry.id > id).slice(-most);
  }

  /** Calls `listener` with each new line until the answer is called. Undefined when too many listen already. */
  listen(listener: (entry: TailEntry) => void): (() => void) | undefined {
    if (this.#listeners.size >= mostListeners) return undefined;
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
