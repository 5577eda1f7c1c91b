import { type GenericSchema, safeParse } from 'valibot';
import { Fault } from '../model/fault.ts';
import { didYouMean } from '../model/nearest.ts';
import type { FileNode, ReadResult } from './sources.ts';

/** Reads an item of a list, whose fields may be texts, lists and mappings. Each problem names `file:line:column`. */
export function readItem<T>(schema: GenericSchema<unknown, T>, node: FileNode, name: string): ReadResult<T> {
  const result = safeParse(schema, plain(node));
  if (result.success) return { ok: true, value: result.output };
  const problems = result.issues.map((issue) => {
    const path = issue.path?.map(({ key }) => (typeof key === 'number' ? key : String(key))) ?? [];
    const field = path.at(-1);
    if (issue.type !== 'strict_object' || typeof field !== 'string') {
      return new Fault('settings', issue.message, { where: placeOf(node, name, path) });
    }
    if (issue.expected !== 'never') {
      return new Fault('settings', `it has no ${field}`, { where: placeOf(node, name, path.slice(0, -1)) });
    }
    const known = Object.keys('entries' in schema && typeof schema.entries === 'object' ? (schema.entries ?? {}) : {});
    const hint = didYouMean(field, known) ?? (path.length === 1 ? `there are ${known.join(', ')}` : undefined);
    return new Fault('settings', 'there is no such field', { where: placeOf(node, name, path, 'name'), hint });
  });
  return { ok: false, problems };
}

function plain(node: FileNode): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.text;
    case 'list':
      return node.items.map(plain);
    case 'mapping':
      return Object.fromEntries(node.entries.map(({ name, value }) => [name, plain(value)]));
    case 'nothing':
      return '';
  }
}

/** `file:line:column: templates[0].wait.min`: of the value, or of its name. */
function placeOf(node: FileNode, name: string, path: readonly (string | number)[], of?: 'name'): string {
  let at = node;
  let where = node.where;
  let whole = name;
  for (const key of path) {
    whole += typeof key === 'number' ? `[${key}]` : `.${key}`;
    const entry = at.kind === 'mapping' ? at.entries.find((one) => one.name === key) : undefined;
    const next = at.kind === 'list' && typeof key === 'number' ? at.items[key] : entry?.value;
    if (next === undefined) break;
    where = of === 'name' && entry !== undefined ? entry.where : next.where;
    at = next;
  }
  return `${where}: ${whole}`;
}
