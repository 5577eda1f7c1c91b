import { isCollection, isMap, isPair, isScalar, parseDocument } from 'yaml';
import { parseClaim } from '../model/claim.ts';
import { parseInstance } from '../model/instance.ts';
import { isTooDeep, jsonFlawAt } from '../model/json.ts';
import { parseKey } from '../model/key.ts';
import { parseOverride } from '../model/override.ts';
import { policyProblems } from '../model/policy.ts';
import { beginning, type Problem, placeOfIndex, problemAt, type TextPosition } from '../model/problem.ts';

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
    case 'claim': {
      const parsed = parseClaim(text);
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

/**
 * Finds the place of a value in a JSON text. JSON is YAML, whose parser remembers places; it calls itself for each level,
 * and near the end of the stack V8 ends the whole process (compiling a regular expression there, seen with 20,000
 * brackets), so what is nested too deep has no places but its beginning.
 */
function jsonPlaces(text: string): {
  /** The place of the value at a path; if it is missing, the place of the object that should have it. */
  readonly at: (path: readonly string[]) => TextPosition;
  /** Where the text ceases to be JSON, or a name is given twice. */
  readonly flaw: () => TextPosition;
} {
  const parse = () => (isTooDeep(text) ? undefined : parseDocument(text, { prettyErrors: false }));
  return {
    at: (path) => {
      let node: unknown = parse()?.contents;
      let start = startOf(node);
      for (const step of path) {
        if (!isCollection(node)) break;
        const pair = isMap(node)
          ? node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
          : undefined;
        const next = pair === undefined ? node.get(Number(step), true) : pair.value;
        const found = startOf(pair !== undefined && isPair(pair) ? pair.key : next);
        if (found === undefined) break;
        start = found;
        node = next;
      }
      return start === undefined ? beginning : placeOfIndex(text, start);
    },
    flaw: () => {
      try {
        JSON.parse(text);
      } catch (error) {
        return placeOfIndex(text, jsonFlawAt(text, error));
      }
      const error = parse()?.errors[0];
      return error === undefined ? beginning : placeOfIndex(text, error.pos[0]);
    },
  };
}

function startOf(node: unknown): number | undefined {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined;
}
