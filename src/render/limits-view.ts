import type { CookieName, HeaderName } from '../model/header.ts';
import type { Limits } from '../model/policy/limits.ts';
import type { RateLimit } from '../model/policy/rate-limit.ts';

/** The rules of a policy's `rateLimit`. */
export type RateLimitView = {
  readonly requests: number;
  /** `requests` in thousandths. */
  readonly thousandths: number;
  readonly period: string;
  readonly seconds: number;
  /** Undefined: by client. */
  readonly countedBy:
    | { readonly path: boolean; readonly header: HeaderName | undefined; readonly cookieName: CookieName | undefined }
    | undefined;
  readonly fleet: boolean;
};

/** The rules of a policy's `limits`. */
export type LimitsView = {
  readonly headerBytes: number | undefined;
  readonly bodyBytes: number | undefined;
  readonly openRequests: number | undefined;
};

export const limitNames = [
  ...['rateLimit', 'requests', 'thousandths', 'period', 'seconds', 'countedBy', 'header', 'fleet', 'countsClients'],
  ...['limits', 'headerBytes', 'bodyBytes', 'openRequests'],
] as const;

export function rateLimitView({ requests, perMs, by, scope }: RateLimit): RateLimitView {
  return {
    requests,
    thousandths: requests * 1000,
    period: `${perMs}ms`,
    seconds: Math.ceil(perMs / 1000),
    countedBy:
      by.kind === 'client'
        ? undefined
        : {
            path: by.kind === 'path',
            header: by.kind === 'header' ? by.name : undefined,
            cookieName: by.kind === 'cookie' ? by.name : undefined,
          },
    fleet: scope === 'fleet',
  };
}

export function limitsView({ body, headers, requests }: Limits): LimitsView {
  return { headerBytes: headers, bodyBytes: body, openRequests: requests };
}
