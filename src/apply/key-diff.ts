import type { Place } from '../declarations/declared.ts';
import { areaOfKey } from '../model/key.ts';
import type { ApplyPlan, PlannedChange } from './plan-apply.ts';
import { type FieldDiff, fieldDiffs } from './value-diff.ts';

/** What an apply would do to one key, by field or, where a value is no JSON object, as text. */
export type KeyDiff = {
  readonly key: string;
  readonly kind: PlannedChange['kind'];
  /** Where a file declares it; undefined: none does. */
  readonly place: Place | undefined;
  /** The set, or the reason, that the kind is about: the owner before a `take`, why a set forgets the key. */
  readonly note: string | undefined;
  readonly fields: readonly FieldDiff[];
  /** The values, if one of them is no JSON object. */
  readonly text: { readonly before: string | undefined; readonly after: string | undefined } | undefined;
};

/** Everything but the keys that an apply leaves as they are. */
export function keyDiffs({ changes }: ApplyPlan): readonly KeyDiff[] {
  return changes.flatMap((change) => (change.kind === 'unchanged' ? [] : [keyDiff(change)]));
}

function keyDiff(change: PlannedChange): KeyDiff {
  const { key, kind } = change;
  const place = 'declared' in change ? change.declared.place : undefined;
  const about = { key, kind, place, note: noteOf(change) };
  const [before, after] = valuesOf(change);
  if (before === after) return { ...about, fields: [], text: undefined };
  const [was, is] = [objectOf(key, before), objectOf(key, after)];
  if (was === undefined || is === undefined) return { ...about, fields: [], text: { before, after } };
  return { ...about, fields: fieldDiffs(was.value, is.value), text: undefined };
}

function noteOf(change: PlannedChange): string | undefined {
  if (change.kind === 'forget') return change.because;
  return change.kind === 'take' ? (change.from ?? 'nobody') : undefined;
}

/** The values of the key before and after; undefined: there is none. */
export function valuesOf(change: PlannedChange): readonly [before: string | undefined, after: string | undefined] {
  switch (change.kind) {
    case 'create':
      return [undefined, change.after];
    case 'update':
    case 'take':
      return [change.before.value, change.after];
    case 'remove':
      return [change.before.value, undefined];
    case 'adopt':
    case 'unchanged':
    case 'undeclared':
      return [change.before.value, change.before.value];
    case 'forget':
      return [undefined, undefined];
  }
}

/** The JSON object of a value; of a missing value an empty one. Undefined: it is other text. */
function objectOf(key: string, text: string | undefined): { readonly value: unknown } | undefined {
  if (areaOfKey(key) === 'keys') return undefined;
  if (text === undefined) return { value: undefined };
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { value } : undefined;
  } catch {
    return undefined;
  }
}
