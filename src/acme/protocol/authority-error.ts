import { mostWaitMs } from '../retry-time.ts';

/** An authority did not do what it was asked. */
export class AuthorityError extends Error {
  override readonly name = 'AuthorityError';
  /** `unavailable`: it cannot be reached, or is broken; no host is to blame. */
  readonly kind: 'refused' | 'unavailable';
  /** The type of RFC 8555, section 6.7, such as `rateLimited`. */
  readonly problem: string | undefined;
  readonly status: number | undefined;
  /** How long it says to wait, in ms. */
  readonly retryAfterMs: number | undefined;
  /** Whether a request failed that the orders of all hosts need. */
  readonly isShared: boolean;

  constructor(
    message: string,
    detail: {
      readonly kind: 'refused' | 'unavailable';
      readonly problem?: string | undefined;
      readonly status?: number | undefined;
      readonly retryAfterMs?: number | undefined;
      readonly isShared?: boolean;
      readonly cause?: unknown;
    },
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.kind = detail.kind;
    this.problem = detail.problem;
    this.status = detail.status;
    this.retryAfterMs = detail.retryAfterMs;
    this.isShared = detail.isShared === true;
  }
}

/** Reads `Retry-After`: seconds, or a date; at most `mostWaitMs`. Undefined: it is not there, or makes no sense. */
export function readRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Math.min(Number(text) * 1000, mostWaitMs);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - now), mostWaitMs);
}
