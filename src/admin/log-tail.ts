/** A line of the log, as an object, numbered in the order in which they were written. */
export type TailEntry = { readonly id: number; readonly line: string };

const size = 500;
const mostListeners = 64;
const traffic = /"event":"(request|connection)"/;
/** The service of a request, and how long it took. Quotes in a path are escaped, so it cannot pose as either. */
const request = /"event":"request".*?"service":"([^"]+)".*"ms":(\d+)/;

/** The subject of a line, if it names one. A text of another author has its quotes escaped there, so it cannot name one. */
const about = /"(?:service":"|key":"[a-z]+\/)([^"/\\]*)/;

type Kept = TailEntry & { readonly service: string | undefined };

/**
 * The newest lines of the log: what happened last, for `events` and the page. A stream as pino writes to. When there are too many,
 * half of the room is for lines about the balancer itself, and among the services the one with the most lines loses its oldest.
 * So a service that makes many lines does not drive out what else happened.
 */
export class LogTail {
  readonly #lines: Kept[] = [];
  /** Lines by service. */
  readonly #counts = new Map<string, number>();
  readonly #listeners = new Set<(entry: TailEntry) => void>();
  #next = 1;
  #onRequest: ((service: string, ms: number) => void) | undefined;

  /** Calls `listener` with each request of the access log. */
  listenToRequests(listener: (service: string, ms: number) => void): void {
    this.#onRequest = listener;
  }

  /** Takes one line, as JSON with its newline. Requests are not what happened to a balancer. */
  write(line: string): void {
    if (traffic.test(line)) {
      const [, service, ms] = (this.#onRequest && request.exec(line)) ?? [];
      if (service !== undefined) this.#onRequest?.(service, Number(ms));
      return;
    }
    const service = about.exec(line)?.[1];
    const entry = { id: this.#next, line: line.trimEnd(), service };
    this.#next += 1;
    this.#lines.push(entry);
    this.#count(service, 1);
    if (this.#lines.length > size) this.#dropOne();
    for (const listener of this.#listeners) listener(entry);
  }

  #dropOne(): void {
    const ofServices = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    const most = Math.max(...this.#counts.values());
    const loses = ({ service }: Kept) =>
      ofServices > size / 2 ? service !== undefined && this.#counts.get(service) === most : service === undefined;
    const [dropped] = this.#lines.splice(this.#lines.findIndex(loses), 1);
    this.#count(dropped?.service, -1);
  }

  #count(service: string | undefined, change: 1 | -1): void {
    if (service === undefined) return;
    const count = (this.#counts.get(service) ?? 0) + change;
    if (count === 0) this.#counts.delete(service);
    else this.#counts.set(service, count);
  }

  /** The lines after `id`, oldest first, at most the newest `most` of them. */
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
