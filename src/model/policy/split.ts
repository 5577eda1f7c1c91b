import * as v from 'valibot';
import { parseLabel } from '../instance.ts';

/** All versions that a split does not name, and instances without one. */
export const otherVersions = '*';

/** Shares of a service's requests by version; in any unit, for only their proportion counts. */
export type Split = ReadonlyMap<string, number>;

const isVersion = (name: string): boolean => name === otherVersions || parseLabel(name).ok;

/** `{"v1": 95, "v2": 5}`; `*` for all others, which get nothing where it is not given. */
export const splitField = v.pipe(
  v.record(v.string(), v.pipe(v.number(), v.minValue(0), v.maxValue(1_000_000))),
  v.check((split) => Object.keys(split).every(isVersion), 'each name must be a version or *'),
  v.check((split) => Object.keys(split).length <= 64, 'it names more than 64 versions'),
  v.check((split) => Object.values(split).some((share) => share > 0), 'it gives no version a share above 0'),
  v.transform((split): Split => new Map(Object.entries(split))),
);
