import * as v from 'valibot';
import { parseShare } from '../quantity.ts';
import { duration, parsedText, whole } from './field.ts';

/** When a server whose health checks pass gets no requests, because it answers requests with errors. */
export type Ejection = {
  /** So many errors in a row, without a good answer in between. */
  readonly errors: number;
  /** The errors count only if all of them came within this time, in ms. */
  readonly withinMs: number;
  /** How long the server gets no requests, in ms; twice as long when it is ejected again on trial, and so on. */
  readonly forMs: number;
  /** At most this share of the service's instances is ejected, 0 to 1, but always at least one may be. */
  readonly most: number;
};

export const ejectionField = v.pipe(
  v.strictObject({
    errors: v.optional(whole(1, 1000), 5),
    within: v.optional(duration, '10s'),
    for: v.optional(duration, '30s'),
    most: v.optional(parsedText(parseShare), '30%'),
  }),
  v.transform(({ errors, within, for: lasts, most }): Ejection => ({ errors, withinMs: within, forMs: lasts, most })),
);
