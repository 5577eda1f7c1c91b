import { type GenericSchema, safeParse } from 'valibot';
import { Fault } from '../model/fault.ts';
import { didYouMean } from '../model/nearest.ts';
import {
  fieldName,
  hasField,
  hasVariable,
  type Item,
  type Items,
  type Machine,
  type Option,
  type OptionTable,
  type Secret,
  type Switch,
  type ValuesOf,
  variableName,
  type Word,
} from './option.ts';
import type { FileNode, Given, ReadResult, Sources } from './sources.ts';

type Valued = Exclude<Option, Secret | Switch | Items<unknown>>;
type Found = { readonly values: readonly Given[] } | { readonly problem: Fault };

/**
 * Reads a table of options: flag before variable before file before default. A value that another source overrules is checked too: it
 * would be a surprise on the day on which the other one goes.
 */
export function readOptions<Table extends OptionTable>(
  table: Table,
  sources: Sources,
  machine: Machine,
): ReadResult<ValuesOf<Table>> {
  const problems: Fault[] = [];
  const parse = (word: Word<unknown>, { text, where }: Given): unknown => {
    const result = safeParse(word, text);
    if (result.success) return result.output;
    problems.push(new Fault('settings', result.issues[0].message, { where }));
    return undefined;
  };
  const check = ({ kind, word }: Valued, found: Found): void => {
    if ('problem' in found) problems.push(found.problem);
    else
      for (const given of kind === 'pairs' || kind === 'list' ? found.values : found.values.slice(-1))
        parse(word, given);
  };
  const read = (key: string, option: Option): unknown => {
    if (option.kind === 'secret') return sources.env[variableName(key)] || undefined;
    if (option.kind === 'switch') return sources.flags.has(fieldName(key));
    if (option.kind === 'items') return readItems(fieldName(key), option, sources.file, problems);
    const [found, ...overruled] = find(key, option, sources);
    for (const other of overruled) check(option, other);
    if (found !== undefined && 'problem' in found) return void problems.push(found.problem);
    if (option.onlyOnce && (sources.flags.get(fieldName(key))?.length ?? 0) > 1)
      return void problems.push(new Fault('settings', 'it takes one value', { where: `--${fieldName(key)}` }));
    const given = found?.values.at(-1);
    switch (option.kind) {
      case 'pairs':
        return Object.fromEntries(
          (found?.values ?? [])
            .map((pair) => parse(option.word, pair) as readonly [string, unknown] | undefined)
            .filter(isPair),
        );
      case 'list':
        return (found?.values ?? []).map((one) => parse(option.word, one)).filter((value) => value !== undefined);
      case 'optional':
        return given === undefined ? undefined : parse(option.word, given);
      case 'defaulted':
        return parse(
          option.word,
          given ?? { text: option.fallback.of(machine), where: `--${fieldName(key)} by default` },
        );
    }
  };
  const values = Object.fromEntries(Object.entries(table).map(([key, option]) => [key, read(key, option)]));
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: values as ValuesOf<Table> };
}

const isPair = (pair: readonly [string, unknown] | undefined): pair is readonly [string, unknown] => pair !== undefined;

/** What the sources give, the strongest first. */
function find(key: string, option: Valued, { flags, env, file }: Sources): readonly Found[] {
  const name = fieldName(key);
  const found: Found[] = [];
  const flag = flags.get(name);
  if (flag !== undefined) {
    // The value of a pair may have commas of its own.
    const given = option.kind === 'list' ? flag.flatMap((text) => text.split(',')) : flag;
    found.push({ values: given.map((text) => ({ text, where: `--${name}` })) });
  }

  // An empty variable counts as none: compose files and unit files write `POINTSMAN_ZONE=${ZONE:-}`.
  const variable = hasVariable(option) ? env[variableName(key)] : undefined;
  if (variable !== undefined && variable !== '') {
    const texts = option.kind === 'pairs' || option.kind === 'list' ? variable.split(',') : [variable];
    found.push({ values: texts.map((text) => ({ text, where: variableName(key) })) });
  }

  const field = hasField(option) ? file?.fields.get(name)?.value : undefined;
  if (field !== undefined) found.push(valuesOfField(option, name, field));
  return found;
}

function valuesOfField(option: Valued, name: string, field: FileNode): Found {
  const wantsPairs = option.kind === 'pairs';
  if (field.kind === 'scalar' && !wantsPairs)
    return { values: [{ text: field.text, where: `${field.where}: ${name}` }] };
  if (field.kind === 'mapping' && (wantsPairs || option.kind === 'list')) {
    return texts(
      field.entries.map(({ name: entry, where, value }) => ({
        value,
        where,
        name: `${name}.${entry}`,
        before: `${entry}=`,
      })),
    );
  }
  if (field.kind === 'list' && option.kind === 'list') {
    return texts(field.items.map((value, i) => ({ value, where: value.where, name: `${name}[${i}]`, before: '' })));
  }
  const what = wantsPairs ? 'it must be a mapping of names to values' : `it must be one value: ${option.placeholder}`;
  return { problem: new Fault('settings', what, { where: `${field.where}: ${name}` }) };
}

type Part = { readonly value: FileNode; readonly where: string; readonly name: string; readonly before: string };

/** The parts of a field as texts, or what is wrong with the first that is none. */
function texts(parts: readonly Part[]): Found {
  const values: Given[] = [];
  for (const { value, where, name, before } of parts) {
    if (value.kind !== 'scalar') {
      return { problem: new Fault('settings', 'the value is missing or is not text', { where: `${where}: ${name}` }) };
    }
    values.push({ text: before + value.text, where: `${value.where}: ${name}` });
  }
  return { values };
}

function readItems(
  name: string,
  option: Items<unknown>,
  file: Sources['file'],
  problems: Fault[],
): readonly Item<unknown>[] {
  const field = file?.fields.get(name)?.value;
  if (file === undefined || field === undefined) return [];
  if (field.kind !== 'list') {
    problems.push(new Fault('settings', 'it must be a list', { where: `${field.where}: ${name}` }));
    return [];
  }
  return field.items.flatMap((item, i) => {
    const read = readItem(option.item, item, `${name}[${i}]`);
    if (read.ok) return [{ value: read.value, where: `${item.where}: ${name}[${i}]`, file: file.path }];
    problems.push(...read.problems);
    return [];
  });
}

/** Reads an item of a list, whose fields may be texts, lists and mappings. Each problem names `file:line:column`. */
function readItem<T>(schema: GenericSchema<unknown, T>, node: FileNode, name: string): ReadResult<T> {
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
    return new Fault('settings', 'unknown field', { where: placeOf(node, name, path, 'name'), hint });
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
