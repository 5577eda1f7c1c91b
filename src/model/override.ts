import * as v from 'valibot';
import type { InstanceId, ServiceName } from './name.ts';
import { accepted, type Parsed, quote, rejected } from './parsed.ts';
import { inEditors, parseEntry, parsing } from './policy/field.ts';
import { parseWeight } from './quantity.ts';

/** The restriction of an instance, or of a whole service, that an operator sets. */
export type OverrideEffect =
  /** No new requests; open ones go on. */
  | { readonly kind: 'drain' }
  /** No requests and no health checks. */
  | { readonly kind: 'maintenance' }
  /** This weight instead of the registered one; 0 is a drain. */
  | { readonly kind: 'weight'; readonly weight: number }
  /** Requests wait until it ends, then go on. For a whole service only, and it always ends. */
  | { readonly kind: 'pause' };

/** As long as a pause may last. Clients give up sooner. */
export const longestPauseMs = 600_000;

/** An operator's word about one instance or a whole service, as `overrides/<service>/<instance>` or `/*` holds it. */
export type Override = {
  readonly effect: OverrideEffect;
  /** `user@host`, for those who wonder. */
  readonly who: string | undefined;
  readonly why: string | undefined;
  /** When it was said, by the clock of the one who said it; ms since 1970. */
  readonly at: number | undefined;
  /** When it ends by the same clock; undefined: when somebody clears it. */
  readonly until: number | undefined;
};

// Shown on terminals and in logs: nothing that moves a cursor, ends a line or turns the direction of writing.
const harmless = /^[^\p{C}\p{Zl}\p{Zp}]*$/u;
const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$/;

const text = (most: number) =>
  v.pipe(
    v.string('it is not a string'),
    v.minLength(1, 'is empty'),
    v.maxLength(most, `is longer than ${most}`),
    v.regex(harmless, 'has a control character'),
  );
const time = parsing(v.pipe(v.string('it is not a string'), inEditors({ pattern: instant.source })), (given) => {
  const ms = instant.test(given) ? Date.parse(given) : Number.NaN;
  return Number.isNaN(ms) ? rejected(`${quote(given)} is not a time like 2026-01-31T09:30:00Z`) : accepted(ms);
});
const weight = parsing(
  v.pipe(v.number('it is not a number'), inEditors({ type: 'integer', minimum: 0, maximum: 256 })),
  parseWeight,
);

const said = {
  who: v.optional(text(128)),
  why: v.optional(text(256)),
  at: v.optional(time),
  until: v.optional(time),
};
/** The fields of an override as its JSON has them. */
export const overrideSchema = v.variant(
  'kind',
  [
    v.strictObject({ kind: v.literal('drain'), ...said }),
    v.strictObject({ kind: v.literal('maintenance'), ...said }),
    v.strictObject({ kind: v.literal('weight'), weight, ...said }),
    v.strictObject({ kind: v.literal('pause'), ...said }),
  ],
  'is not one of drain, maintenance, weight, pause',
);

/**
 * Reads an override's JSON: `{"kind":"drain"}`, `{"kind":"maintenance"}`, `{"kind":"weight","weight":10}` or
 * `{"kind":"pause","until":…}`, each with `who`, `why`, `at` and `until` or without. Unknown fields are refused: what they were meant to limit would not hold.
 */
export function parseOverride(value: string): Parsed<Override> {
  const read = parseEntry(value, overrideSchema, 'an override', ({ message }) => message);
  if (!read.ok) return read;
  const { who, why, at, until } = read.value;
  if (at !== undefined && until !== undefined && until <= at) return rejected('until: it is not later than at');
  if (read.value.kind === 'pause') {
    if (until === undefined) return rejected('until: it is missing, and a pause needs an end');
    if (at !== undefined && until - at > longestPauseMs) return rejected('until: a pause lasts at most 10m');
  }
  return accepted({ effect: effectOf(read.value), who, why, at, until });
}

function effectOf(output: v.InferOutput<typeof overrideSchema>): OverrideEffect {
  return output.kind === 'weight' ? { kind: 'weight', weight: output.weight } : { kind: output.kind };
}

/** An override as plain values: what is written to the registry, and shown to whoever asks. */
export function overrideFields({ effect, who, why, at, until }: Override) {
  return {
    ...effect,
    who,
    why,
    at: at === undefined ? undefined : new Date(at).toISOString(),
    until: until === undefined ? undefined : new Date(until).toISOString(),
  };
}

/** The value that `parseOverride` reads back. */
export const formatOverride = (override: Override): string => JSON.stringify(overrideFields(override));

/** Whether the override keeps new requests away. */
export function takesOut({ effect }: Override): boolean {
  switch (effect.kind) {
    case 'drain':
    case 'maintenance':
      return true;
    case 'weight':
      return effect.weight === 0;
    case 'pause':
      return false;
  }
}

/** Milliseconds that a request waits at most; undefined: the override is no pause. */
export function pauseOf({ effect, at, until }: Override): number | undefined {
  if (effect.kind !== 'pause') return undefined;
  return at === undefined || until === undefined ? longestPauseMs : until - at;
}

/** `drain`, `maintenance`, `weight 5`. */
export const effectName = (effect: OverrideEffect): string =>
  effect.kind === 'weight' ? `weight ${effect.weight}` : effect.kind;

/** ` by ada@desk (new disk)`, as much of it as there is. */
export const byWhom = ({ who, why }: Override): string =>
  `${who === undefined ? '' : ` by ${who}`}${why === undefined ? '' : ` (${why})`}`;

/** The instances that an override restricts: one, or each instance of the service without an override of its own. */
export type OverrideScope = InstanceId | '*';

export type OverrideTarget = { readonly service: ServiceName; readonly scope: OverrideScope };
