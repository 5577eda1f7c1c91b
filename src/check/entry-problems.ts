import type { Declared } from '../declarations/declared.ts';
import { claimSchema, parseClaim } from '../model/claim.ts';
import { parseInstance } from '../model/instance.ts';
import { parseKey } from '../model/key.ts';
import { overrideSchema, parseOverride } from '../model/override.ts';
import { policyProblems, policySchema } from '../model/policy.ts';
import { type Problem, problemAt } from '../model/problem.ts';
import { fieldHint } from './field-hint.ts';

/** Everything that is wrong with an entry: its key, and its value. */
export function entryProblems(entry: Declared): readonly Problem[] {
  const { key, value, place } = entry;
  const parsed = parseKey(key);
  if (!parsed.ok) return [problemAt(place.file, place, parsed.reason)];
  const subject = parsed.value;
  switch (subject.kind) {
    case 'other':
    case 'challenge':
      return [];
    case 'policy':
      return policyProblems(value).map(({ path, reason }) => placed(entry, path, reason, policySchema));
    case 'claim':
      return ofField(entry, parseClaim(value), claimSchema);
    case 'instance':
      return ofField(entry, parseInstance(subject.service, subject.id, value));
    case 'override':
      return ofField(entry, parseOverride(value), overrideSchema);
  }
}

/** `weight "300" is not …`, `until: it is …` and `"untill" is not a field …` are about a field of that name, if there is one. */
function ofField(
  entry: Declared,
  parsed: { readonly ok: boolean; readonly reason?: string },
  schema?: unknown,
): readonly Problem[] {
  const { reason } = parsed;
  return reason === undefined ? [] : [placed(entry, [/^"?(\w+)/.exec(reason)?.[1] ?? ''], reason, schema)];
}

/** `schema`: that of the parser, whose names are suggested for a name that it does not have. */
function placed({ placeOf, flawAt }: Declared, path: readonly string[], reason: string, schema?: unknown): Problem {
  const isFlaw = /^it is not JSON|is given twice$/.test(reason);
  const place = isFlaw ? flawAt() : placeOf(path);
  const isUnknown = schema !== undefined && reason.includes('" is not a field of a');
  return problemAt(place.file, place, reason, isUnknown ? fieldHint(schema, path) : undefined);
}
