import * as v from 'valibot';
import { parseShare } from '../quantity.ts';
import { durationText, parsedText, whole } from './field.ts';

/** The settings of the mass-loss guard that differ for a service from those of the balancer. */
export type GuardSettings = {
  /** More than this share of its instances, 0 to 1; 1 is never. */
  readonly share?: number;
  readonly minimum?: number;
  readonly holdMs?: number;
  readonly windowMs?: number;
};

// Bounds as those of the balancer's own settings.
const lasting = (longestMs: number, bounds: string) =>
  v.pipe(
    durationText,
    v.check((ms) => ms >= 1000 && ms <= longestMs, `it is not between ${bounds}`),
  );

const off = v.literal('off');
const settings = v.strictObject({
  share: v.optional(parsedText(parseShare)),
  minimum: v.optional(whole(1, 999_999)),
  hold: v.optional(lasting(86_400_000, '1s and 24h')),
  window: v.optional(lasting(3_600_000, '1s and 1h')),
});

/** `"off"`, or what is to be otherwise. Chosen by its type, so that a message names the field that is wrong. */
export const guardField = v.optional(
  v.lazy((given): typeof off | typeof settings => (typeof given === 'object' ? settings : off)),
);

export function readGuard(given: v.InferOutput<typeof guardField>): GuardSettings {
  if (given === undefined) return {};
  if (given === 'off') return { share: 1 };
  const { share, minimum, hold, window } = given;
  return {
    ...(share === undefined ? {} : { share }),
    ...(minimum === undefined ? {} : { minimum }),
    ...(hold === undefined ? {} : { holdMs: hold }),
    ...(window === undefined ? {} : { windowMs: window }),
  };
}
