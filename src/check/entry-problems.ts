import type { Declared } from '../declarations/declared.ts';
import { parseClaim } from '../model/claim.ts';
import { parseInstance } from '../model/instance.ts';
import { parseKey } from '../model/key.ts';
import { parseOverride } from '../model/override.ts';
import { policyProblems } from '../model/policy.ts';
import { type Problem, problemAt } from '../model/problem.ts';

/** Everything that is wrong with an entry: its key, and its value. */
export function entryProblems(entry: Declared): readonly Problem[] {
  const { key, value, place } = entry;
  const parsed = parseKey(key);
  if (!parsed.ok) return [problemAt(place.file, place, parsed.reason)];
  const subject = parsed.value;
  switch (subject.kind) {
    case 'other':
      return [];
    case 'policy':
      return policyProblems(value).map(({ path, reason }) => placed(entry, path, reason));
    case 'claim':
      return ofField(entry, parseClaim(value));
    case 'instance':
      return ofField(entry, parseInstance(subject.service, subject.id, value));
    case 'override':
      return ofField(entry, parseOverride(value));
  }
}

/** `weight "300" is not …`, `until: it is …` and `"untill" is not a field …` are about a field of that name, if there is one. */
function ofField(entry: Declared, parsed: { readonly ok: boolean; readonly reason?: string }): readonly Problem[] {
  const { reason } = parsed;
  return reason === undefined ? [] : [placed(entry, [/^"?(\w+)/.exec(reason)?.[1] ?? ''], reason)];
}

function placed({ placeOf, flawAt }: Declared, path: readonly string[], reason: string): Problem {
  const isFlaw = /^it is not JSON|is given twice$/.test(reason);
  const place = isFlaw ? flawAt() : placeOf(path);
  return problemAt(place.file, place, reason);
}
