import * as v from 'valibot';
import { parseSize } from '../quantity.ts';
import { parsedText, whole } from './field.ts';

/** How large a request may be, and how many requests of one client may be open at once. */
export type Limits = {
  /** Bytes. */
  readonly body: number | undefined;
  /** Bytes of all headers together. */
  readonly headers: number | undefined;
  /** For a `tcp` service connections count as requests. */
  readonly requests: number | undefined;
};

const leastHeaders = 1024;
// A request with more headers does not fit into a buffer of HAProxy, which has 16 kB with its reserve.
const mostHeaders = 15 * 1024;

export const limitsField = v.pipe(
  v.strictObject({
    body: v.optional(
      v.pipe(
        parsedText(parseSize),
        v.check((bytes) => bytes > 0, 'it is not 1 byte or more'),
      ),
    ),
    headers: v.optional(
      v.pipe(
        parsedText(parseSize),
        v.check((bytes) => bytes >= leastHeaders && bytes <= mostHeaders, 'it is not between 1k and 15k'),
      ),
    ),
    requests: v.optional(whole(1, 1_000_000)),
  }),
  v.transform(({ body, headers, requests }): Limits => ({ body, headers, requests })),
);
