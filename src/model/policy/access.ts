import * as v from 'valibot';
import { type Cidr, parseCidr } from '../address.ts';
import { duration, parsedText, whole } from './field.ts';

/** Who may ask, by source address. */
export type Access = {
  /** If there are any, only these may. */
  readonly allow: readonly Cidr[];
  /** These may not, even if they are allowed. */
  readonly deny: readonly Cidr[];
};

const networks = v.pipe(v.array(parsedText(parseCidr)), v.minLength(1), v.maxLength(1000));

export const accessField = v.pipe(
  v.strictObject({ allow: v.optional(networks), deny: v.optional(networks) }),
  v.transform(({ allow, deny }): Access => ({ allow: allow ?? [], deny: deny ?? [] })),
);

/** How much one source address may ask; for a `tcp` service connections count as requests. */
export type RateLimit = { readonly requests: number; readonly perMs: number };

export const rateLimitField = v.pipe(
  v.strictObject({
    requests: whole(1, 1_000_000),
    per: v.pipe(
      duration,
      v.check((ms) => ms >= 1000, 'it is not between 1s and 1h'),
    ),
  }),
  v.transform(({ requests, per }): RateLimit => ({ requests, perMs: per })),
);
