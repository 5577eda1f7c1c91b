import { readFile } from 'node:fs/promises';
import { isAlias, isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import { describe, Fault } from '../model/fault.ts';
import type { FileField, Given, SettingsFile } from './sources.ts';

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
  const lines = new LineCounter();
  // The failsafe schema leaves every value the text it was; settings parse it, as they parse a flag.
  const document = parseDocument(text, { lineCounter: lines, schema: 'failsafe', prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const [error] = document.errors;
  if (error !== undefined) {
    throw new Fault('settings', `it is not YAML: ${oneLine(error.message)}`, { where: at(error.pos[0]) });
  }
  const place = (node: unknown): string => at((node as Node | null)?.range?.[0] ?? 0);
  const root = document.contents;
  if (root === null) return { path, fields: new Map() };
  if (!isMap(root)) throw new Fault('settings', 'it is not a mapping of settings', { where: place(root) });

  const resolved = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const scalar = (node: unknown, where: string): Given | undefined => {
    const value = resolved(node);
    return isScalar(value) && typeof value.value === 'string' ? { text: value.value, where } : undefined;
  };
  const readName = ({ key }: Pair): string => {
    const name = scalar(key, '')?.text;
    if (name === undefined) throw new Fault('settings', 'a field name must be a word', { where: place(key) });
    return name;
  };
  const readField = (name: string, { key, value }: Pair): FileField => {
    const where = `${place(value ?? key)}: ${name}`;
    const node = resolved(value);
    if (isMap(node)) {
      const entries = node.items.map((pair) => {
        const entry = readName(pair);
        const given = scalar(pair.value, `${place(pair.value ?? pair.key)}: ${name}.${entry}`);
        if (given === undefined) {
          throw new Fault('settings', 'the value is missing or not a text', {
            where: `${place(pair.key)}: ${name}.${entry}`,
          });
        }
        return { ...given, text: `${entry}=${given.text}` };
      });
      return { kind: 'mapping', where, entries };
    }
    const given = scalar(node, where);
    return given === undefined ? { kind: 'list', where } : { kind: 'scalar', given };
  };
  const fields = new Map(
    root.items.map((pair) => {
      const name = readName(pair);
      return [name, { where: place(pair.key), field: readField(name, pair) }] as const;
    }),
  );
  return { path, fields };
}

const oneLine = (message: string): string => message.replace(/\s+/g, ' ');
