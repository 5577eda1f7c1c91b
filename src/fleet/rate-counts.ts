import * as v from 'valibot';
import { parseRecord } from '../model/json.ts';
import { balancerKey } from '../model/key.ts';
import { accepted, type Parsed, rejected } from '../model/parsed.ts';

/** What a balancer counted of one key of a rate limit, in the time of the limit. */
export type RateCount = {
  /** Requests that came, also refused ones. */
  readonly asked: number;
  readonly passed: number;
};

/** By key of a stick table, `web/10.0.0.1`. */
export type RateCounts = ReadonlyMap<string, RateCount>;

/** The most keys that a balancer tells the others about: its value has at most 64 kB. */
export const mostCounts = 500;
const format = 1;

/**
 * The entry in which a balancer tells the others its counts. The permissions of a balancer allow it, and no follower of
 * acknowledgements takes it for one: see `balancerOf`.
 */
export const rateCountsKey = (id: string, owner: string): string => `${balancerKey(id)}:${owner.slice(0, 8)}-rates`;

export const isRateCountsKey = (key: string): boolean => /^balancers\/[^/:]+:[A-Za-z0-9-]{1,8}-rates$/.test(key);

/** A service, and an address or a hash. Commands to HAProxy contain it. */
const tableKey = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\/[0-9A-Fa-f.:]{2,45}$/;

/** Whether a command can name this key of a stick table. */
export const isTableKey = (key: string): boolean => tableKey.test(key);

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32));
const schema = v.object({
  counts: v.pipe(
    v.record(v.pipe(v.string(), v.regex(tableKey)), v.tuple([count, count])),
    v.check((counts) => Object.keys(counts).length <= mostCounts, `it has more than ${mostCounts} keys`),
  ),
});

export function formatRateCounts(counts: RateCounts): string {
  const all = [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { asked, passed }]) => [key, [asked, passed]]);
  return JSON.stringify({ format, counts: Object.fromEntries(all) });
}

/** Reads what `formatRateCounts` wrote. */
export function parseRateCounts(value: string): Parsed<RateCounts> {
  const record = parseRecord(value);
  if (!record.ok) return record;
  if (record.value.get('format') !== format) return rejected(`it is not of format ${format}`);
  const result = v.safeParse(schema, Object.fromEntries(record.value), { abortEarly: true });
  if (!result.success) return rejected(`its ${v.getDotPath(result.issues[0]) ?? 'value'} is not valid`);
  const { counts } = result.output;
  return accepted(new Map(Object.entries(counts).map(([key, [asked, passed]]) => [key, { asked, passed }])));
}
