import { readFile } from 'node:fs/promises';
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair } from 'yaml';
import { describe, Fault } from '../model/fault.ts';
import { composeYaml } from '../model/yaml.ts';
import type { FileEntry, FileNode, SettingsFile } from './sources.ts';

/** Levels of lists and mappings; no setting has more than four. */
const deepest = 16;

/** The number of nodes of one file, with all nodes of each alias: a few lines of aliases can mean 10^9 nodes. */
const mostNodes = 10_000;

/** Reads a settings file. Rejects with a Fault naming `file:line:column`. */
export async function readYamlFile(path: string): Promise<SettingsFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new Fault('settings', `the settings file cannot be read: ${describe(cause)}`, { where: path, cause });
  }
  return parseSettingsFile(path, text);
}

/** Reads the text of a settings file: one mapping of field names to values. Throws a Fault naming `file:line:column`. */
export function parseSettingsFile(path: string, text: string): SettingsFile {
  // The failsafe schema leaves every value the text it was; settings parse it, as they parse a flag.
  const { documents, lines, tooDeepAt } = composeYaml(text, deepest, { schema: 'failsafe' });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (tooDeepAt !== undefined) throw new Fault('settings', tooDeep, { where: at(tooDeepAt) });
  const [document, second] = documents;
  const [error] = document?.errors ?? [];
  if (error !== undefined) {
    throw new Fault('settings', `it is not YAML: ${oneLine(error.message)}`, { where: at(error.pos[0]) });
  }
  if (second !== undefined)
    throw new Fault('settings', 'it has more than one document', { where: at(second.range[0]) });
  const place = (node: unknown): string => at((node as Node | null)?.range?.[0] ?? 0);
  if (document === undefined || document.contents === null) return { path, fields: new Map() };
  const root = document.contents;
  if (!isMap(root)) throw new Fault('settings', 'it is not a mapping of settings', { where: place(root) });

  let nodes = 0;
  const read = (node: unknown, where: string, depth: number): FileNode => {
    // An alias can be within the node that it names.
    if (depth > deepest) throw new Fault('settings', tooDeep, { where });
    nodes += 1;
    if (nodes > mostNodes) throw new Fault('settings', `it has more than ${mostNodes} values`, { where });
    const value = isAlias(node) ? node.resolve(document) : node;
    if (isMap(value)) return { kind: 'mapping', where, entries: value.items.map((pair) => readEntry(pair, depth)) };
    if (isSeq(value)) {
      return { kind: 'list', where, items: value.items.map((item) => read(item, place(item), depth + 1)) };
    }
    if (isScalar(value) && typeof value.value === 'string') return { kind: 'scalar', where, text: value.value };
    return { kind: 'nothing', where };
  };
  const readEntry = ({ key, value }: Pair, depth: number): FileEntry => {
    const where = place(key);
    const name = read(key, where, depth + 1);
    if (name.kind !== 'scalar') throw new Fault('settings', 'a field name must be a word', { where });
    return { name: name.text, where, value: read(value, place(value ?? key), depth + 1) };
  };
  const fields = new Map(root.items.map((pair) => readEntry(pair, 0)).map((entry) => [entry.name, entry] as const));
  return { path, fields };
}

const tooDeep = `it is nested more than ${deepest} deep`;

const oneLine = (message: string): string => message.replace(/\s+/g, ' ');
