import * as v from 'valibot';
import { type CookieName, type HeaderName, parseCookieName, parseHeaderName } from '../header.ts';
import { duration, parsedText, whole } from './field.ts';

/** What requests have in common that are counted together. */
type CountedBy =
  | { readonly kind: 'client' }
  | { readonly kind: 'path' }
  | { readonly kind: 'header'; readonly name: HeaderName }
  | { readonly kind: 'cookie'; readonly name: CookieName };

/** How many requests may come in a time; for a `tcp` service connections count as requests. */
export type RateLimit = {
  readonly requests: number;
  readonly perMs: number;
  readonly by: CountedBy;
  /** Whether each balancer counts for itself, or all balancers of the fleet together keep the limit. */
  readonly scope: 'balancer' | 'fleet';
};

const byKind = v.pipe(
  v.picklist(['client', 'path']),
  v.transform((kind): CountedBy => ({ kind })),
);

const byValue = v.pipe(
  v.strictObject({
    header: v.optional(parsedText(parseHeaderName)),
    cookie: v.optional(parsedText(parseCookieName)),
  }),
  v.check(
    ({ header, cookie }) => (header === undefined) !== (cookie === undefined),
    'it needs one of "header" and "cookie"',
  ),
  v.transform(({ header, cookie }): CountedBy => {
    if (header !== undefined) return { kind: 'header', name: header };
    return cookie === undefined ? { kind: 'client' } : { kind: 'cookie', name: cookie };
  }),
);

/** `"client"`, `"path"`, `{"header": "X-Api-Key"}` or `{"cookie": "session"}`. Chosen by its type, so that a message names what is wrong. */
const byField = v.lazy((given): typeof byKind | typeof byValue => (typeof given === 'object' ? byValue : byKind));

export const rateLimitField = v.pipe(
  v.strictObject({
    requests: whole(1, 1_000_000),
    per: v.pipe(
      duration,
      v.check((ms) => ms >= 1000, 'it is not between 1s and 1h'),
    ),
    by: v.optional(byField),
    scope: v.optional(v.picklist(['balancer', 'fleet'])),
  }),
  v.transform(
    ({ requests, per, by, scope }): RateLimit => ({
      requests,
      perMs: per,
      by: by ?? { kind: 'client' },
      scope: scope ?? 'balancer',
    }),
  ),
);
