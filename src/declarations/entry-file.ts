import type { Node } from 'yaml';
import { jsonFlawAt } from '../model/json.ts';
import { beginning, placeOfIndex, type TextPosition } from '../model/problem.ts';
import { composeYaml } from '../model/yaml.ts';
import type { Declared } from './declared.ts';
import { jsonOf } from './node-text.ts';
import { deepest, YamlNodes } from './yaml-nodes.ts';

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

/** The place of the value at a path; if it is missing, the place of the object that should have it. JSON is YAML. */
function placeIn(text: string, path: readonly string[]): TextPosition {
  const [document] = documentsIn(text);
  if (document === undefined) return beginning;
  const nodes = new YamlNodes(document, text, () => undefined);
  return placeOfNode(text, [document.contents, ...nodes.along(document.contents, path)].at(-1));
}

/** Where the text ceases to be JSON, or a name is given twice. */
function flawOf(text: string): TextPosition {
  try {
    JSON.parse(text);
  } catch (error) {
    return placeOfIndex(text, jsonFlawAt(text, error));
  }
  const [document] = documentsIn(text);
  const wrong: unknown[] = [];
  const report = (node: unknown) => void wrong.push(node);
  if (document !== undefined) jsonOf(new YamlNodes(document, text, report), report, document.contents);
  return placeOfNode(text, wrong[0]);
}

const documentsIn = (text: string) => composeYaml(text, deepest, { schema: 'core', uniqueKeys: false }).documents;

function placeOfNode(text: string, node: unknown): TextPosition {
  const start = (node as Node | null | undefined)?.range?.[0];
  return start === undefined ? beginning : placeOfIndex(text, start);
}
