import { isCollection, isMap, isPair, isScalar, parseDocument } from 'yaml';
import { isTooDeep, jsonFlawAt } from '../model/json.ts';
import { beginning, placeOfIndex, type TextPosition } from '../model/problem.ts';
import type { Declared } from './declared.ts';

/** A file that holds the value of one key, as a directory registry has it. */
export type EntryFile = { readonly file: string; readonly key: string; readonly text: string };

/** The entry that such a file declares. */
export function entryOfFile({ file, key, text }: EntryFile): Declared {
  const isRecord = text.trim().startsWith('{');
  const at = (place: TextPosition) => ({ file, ...place });
  return {
    key,
    value: text,
    place: at(beginning),
    placeOf: (path) => at(isRecord ? placeIn(text, path) : beginning),
    flawAt: () => at(isRecord ? flawOf(text) : beginning),
  };
}

/**
 * JSON is YAML, whose parser remembers places; it calls itself for each level, and near the end of the stack V8 ends the whole
 * process (compiling a regular expression there, seen with 20,000 brackets), so what is nested too deep has no places but its
 * beginning.
 */
const parse = (text: string) => (isTooDeep(text) ? undefined : parseDocument(text, { prettyErrors: false }));

/** The place of the value at a path; if it is missing, the place of the object that should have it. */
function placeIn(text: string, path: readonly string[]): TextPosition {
  let node: unknown = parse(text)?.contents;
  let start = startOf(node);
  for (const step of path) {
    if (!isCollection(node)) break;
    const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && String(key.value) === step) : undefined;
    const next = pair === undefined ? node.get(Number(step), true) : pair.value;
    const found = startOf(pair !== undefined && isPair(pair) ? pair.key : next);
    if (found === undefined) break;
    start = found;
    node = next;
  }
  return start === undefined ? beginning : placeOfIndex(text, start);
}

/** Where the text ceases to be JSON, or a name is given twice. */
function flawOf(text: string): TextPosition {
  try {
    JSON.parse(text);
  } catch (error) {
    return placeOfIndex(text, jsonFlawAt(text, error));
  }
  const error = parse(text)?.errors[0];
  return error === undefined ? beginning : placeOfIndex(text, error.pos[0]);
}

function startOf(node: unknown): number | undefined {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined;
}
