import * as v from 'valibot';

// The log has lines of HAProxy's too: a field of another type is left out, and the rest of the line is shown.
const soft = <const S extends v.GenericSchema>(schema: S) => v.fallback(v.optional(schema), undefined);
const texts = v.array(v.string());

/** A line of pointsman's log. */
export const logEvent = v.looseObject({
  time: v.string(),
  level: v.string(),
  event: soft(v.string()),
  msg: soft(v.string()),
  revision: soft(v.string()),
  ms: soft(v.number()),
  stages: soft(v.record(v.string(), v.number())),
  what: soft(texts),
  reasons: soft(texts),
  differences: soft(texts),
  why: soft(v.string()),
  reason: soft(v.string()),
  key: soft(v.string()),
  line: soft(v.string()),
});
