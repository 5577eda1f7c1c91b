import { parseAllowance } from '../model/allowance.ts';
import { parseInstance } from '../model/instance.ts';
import { parseKey } from '../model/key.ts';
import { parseOverride } from '../model/override.ts';
import { policyProblems } from '../model/policy.ts';
import { jsonPlaces } from './json-places.ts';
import { beginning, type Problem, problemAt } from './problem.ts';

/** A file that holds what a key of the registry is to hold. */
export type EntryFile = { readonly file: string; readonly key: string; readonly text: string };

/** Everything that is wrong with it: its name, and what it holds. */
export function entryProblems({ file, key, text }: EntryFile): readonly Problem[] {
  const subject = parseKey(key);
  if (!subject.ok) return [problemAt(file, beginning, subject.reason)];
  const { value } = subject;
  switch (value.kind) {
    case 'other':
      return [];
    case 'policy':
      return policyProblems(text).map(({ path, reason }) => placed(file, text, path, reason));
    case 'allowance': {
      const parsed = parseAllowance(text);
      return parsed.ok ? [] : [placed(file, text, fieldIn(parsed.reason), parsed.reason)];
    }
    case 'instance': {
      const parsed = parseInstance(value.service, value.id, text);
      return parsed.ok ? [] : [placed(file, text, fieldIn(parsed.reason), parsed.reason)];
    }
    case 'override': {
      const parsed = parseOverride(text);
      return parsed.ok ? [] : [placed(file, text, fieldIn(parsed.reason), parsed.reason)];
    }
  }
}

/** `weight "300" is not …`, `until: it is …` and `"untill" is not a field …` are about a field of that name, if there is one. */
const fieldIn = (reason: string): readonly string[] => [/^"?(\w+)/.exec(reason)?.[1] ?? ''];

function placed(file: string, text: string, path: readonly string[], reason: string): Problem {
  if (!text.trim().startsWith('{')) return problemAt(file, beginning, reason);
  const places = jsonPlaces(text);
  const isFlaw = /^it is not JSON|is given twice$/.test(reason);
  return problemAt(file, isFlaw ? places.flaw() : places.at(path), reason);
}
