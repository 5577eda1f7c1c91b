import { isCollection, isMap, isPair, isScalar, parseDocument } from 'yaml';
import { isTooDeep, jsonFlawAt } from '../model/json.ts';
import { beginning, placeOfIndex, type TextPosition } from './problem.ts';

/**
 * Finds the place of a value in a JSON text. JSON is YAML, whose parser remembers places; it calls itself for each level,
 * and near the end of the stack V8 ends the whole process (compiling a regular expression there, seen with 20,000
 * brackets), so what is nested too deep has no places but its beginning.
 */
export function jsonPlaces(text: string): {
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
