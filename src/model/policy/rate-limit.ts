import * as v from 'valibot';
import { duration, whole } from './field.ts';

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
