import type { Logger } from 'pino';

/** Where a class logs, and the clock that it measures with. */
export type LogAndClock = {
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};
