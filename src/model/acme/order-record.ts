import * as v from 'valibot';
import type { Parsed } from '../parsed.ts';
import { parseEntry } from '../policy/field.ts';
import { time } from './time.ts';

/** How far the order of a host's certificate is, in `acme/orders/<host>`: the next leader goes on with it. */
export type OrderRecord = {
  /** Why it is ordered. */
  readonly reason: 'first' | 'renewal' | 'asked' | 'revoked';
  readonly stage: OrderStage;
  /** The address of the order at the authority, and the private key of its certificate (sealed), from the stage `ordered` on. */
  readonly order: string | undefined;
  readonly key: string | undefined;
  /** The authority that it was sent to. */
  readonly authority: string;
  /** How often it has failed since the last certificate. */
  readonly failures: number;
  /** The last failure, for people. */
  readonly error: string | undefined;
  /** When the next attempt begins (ISO 8601); undefined: now. */
  readonly nextTry: string | undefined;
};

/** `waiting`: nothing is under way. The others are steps of RFC 8555, section 7.1.6. */
type OrderStage = 'waiting' | 'ordered' | 'answered' | 'finalized';

const schema = v.strictObject({
  reason: v.picklist(['first', 'renewal', 'asked', 'revoked']),
  stage: v.picklist(['waiting', 'ordered', 'answered', 'finalized']),
  order: v.optional(v.pipe(v.string(), v.maxLength(1000))),
  key: v.optional(v.pipe(v.string(), v.maxLength(20_000))),
  authority: v.pipe(v.string(), v.maxLength(1000)),
  failures: v.pipe(v.number(), v.integer(), v.minValue(0)),
  error: v.optional(v.pipe(v.string(), v.maxLength(2000))),
  nextTry: v.optional(time),
});

/** Reads the value of `acme/orders/<host>`. */
export const parseOrderRecord = (value: string): Parsed<OrderRecord> => {
  const read = parseEntry(value, schema, 'an order');
  if (!read.ok) return read;
  const { order, key, error, nextTry, ...rest } = read.value;
  return { ok: true, value: { ...rest, order, key, error, nextTry } };
};

export const formatOrderRecord = (record: OrderRecord): string => JSON.stringify(record);
