import * as v from 'valibot';
import { whole } from './field.ts';

const events = ['empty-response', 'junk-response', 'response-timeout'] as const;
// Those that HAProxy 2.6 knows.
const statuses = ['401', '403', '404', '408', '425', '500', '501', '502', '503', '504'] as const;

/** When a request is tried again, each time with another server. */
export type Retries = {
  /** How often at most; undefined: as in the base configuration. */
  readonly count: number | undefined;
  /**
   * After what, beside a connection that failed. A request with another method than GET, HEAD, OPTIONS, PUT or DELETE may
   * do something twice, and is not tried again after these.
   */
  readonly on: readonly ((typeof events)[number] | (typeof statuses)[number])[];
};

export const retriesField = v.pipe(
  v.strictObject({
    count: v.optional(whole(0, 10)),
    on: v.optional(v.pipe(v.array(v.picklist([...events, ...statuses])), v.maxLength(16))),
  }),
  v.transform(({ count, on }): Retries => ({ count, on: [...new Set(on)] })),
);
