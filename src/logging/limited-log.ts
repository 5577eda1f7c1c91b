import type { Logger } from 'pino';

type Fields = { readonly event: string } & Readonly<Record<string, unknown>>;

const windowMs = 10_000;
const mostLines = 20;

/** A log for events that others can cause without limit: it writes at most 20 lines in 10 s, and then the number of the others. */
export class LimitedLog {
  readonly #logger: Logger;
  readonly #now: () => number;
  /** The event that counts the lines that were not written. */
  readonly #countEvent: string;
  #since = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger, now: () => number, countEvent: string) {
    this.#logger = logger;
    this.#now = now;
    this.#countEvent = countEvent;
  }

  warn(fields: Fields, text: string): void {
    if (this.#mayWrite()) this.#logger.warn(fields, text);
  }

  info(fields: Fields, text: string): void {
    if (this.#mayWrite()) this.#logger.info(fields, text);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #mayWrite(): boolean {
    const now = this.#now();
    if (now - this.#since >= windowMs) {
      this.#since = now;
      this.#lines = 0;
    }
    this.#lines += 1;
    if (this.#lines <= mostLines) return true;
    this.#timer ??= setTimeout(() => this.#writeCount(), windowMs).unref();
    return false;
  }

  #writeCount(): void {
    this.#timer = undefined;
    const count = this.#lines - mostLines;
    if (count > 0) this.#logger.warn({ event: this.#countEvent, count }, `${count} more like these`);
  }
}
