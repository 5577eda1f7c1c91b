import * as v from 'valibot';

/** A time (ISO 8601). The pattern alone also takes texts that JavaScript cannot read, such as `2026-01-01T00:00:00+01`. */
export const time = v.pipe(
  v.string(),
  v.isoTimestamp('it is not a time (ISO 8601)'),
  v.check((text) => !Number.isNaN(Date.parse(text)), 'it is not a time (ISO 8601)'),
);
