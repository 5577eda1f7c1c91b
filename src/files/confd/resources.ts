import { access, readdir, readFile, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import * as v from 'valibot';
import { describe, Fault } from '../../model/fault.ts';
import { didYouMean } from '../../model/nearest.ts';
import type { CommandLine } from '../../settings/command-line.ts';
import {
  defaultTimeoutMs,
  defaultWait,
  escapeNames,
  type FileDeclaration,
  type Owner,
  parseForeignKey,
  parseMode,
  parseOwner,
  stagedMark,
} from '../../settings/file-declaration.ts';

const id = v.pipe(v.number(), v.integer(), v.minValue(0));
const template = v.strictObject({
  src: v.pipe(v.string(), v.minLength(1)),
  dest: v.pipe(v.string(), v.startsWith('/', 'is not an absolute path')),
  keys: v.array(v.string()),
  prefix: v.optional(v.string()),
  mode: v.optional(v.string()),
  owner: v.optional(v.string()),
  group: v.optional(v.string()),
  uid: v.optional(id),
  gid: v.optional(id),
  check_cmd: v.optional(v.string()),
  reload_cmd: v.optional(v.string()),
  // Not confd's: how values are written, as in `templates`.
  escape: v.optional(v.picklist(escapeNames)),
});
const resource = v.strictObject({ template });
const known = Object.keys(template.entries);

/** A file in `conf.d` that is no template resource, and why. */
type Skipped = { readonly path: string; readonly reason: string };

export type ConfdResources = { readonly files: readonly FileDeclaration[]; readonly skipped: readonly Skipped[] };

/**
 * Reads what a folder of confd declares: `*.toml` in `conf.d` and its folders, with templates in `templates/`, of which one
 * that was converted (`NAME.mustache` beside `NAME.tmpl`) goes before the other. Rejects with an AggregateError of Faults
 * naming `file:line`.
 */
export async function readConfdResources(folder: string): Promise<ConfdResources> {
  const everywhere = await globalPrefix(join(folder, 'confd.toml'));
  const { files, skipped } = await findResources(join(folder, 'conf.d'));
  if (files.length === 0) {
    throw new Fault('settings', 'there is no template resource (*.toml) in it', { where: join(folder, 'conf.d') });
  }
  const read = await Promise.all(files.map((path) => readResource(folder, path, everywhere)));
  const faults = read.flatMap((outcome) => (Array.isArray(outcome) ? outcome : []));
  if (faults.length > 0) throw new AggregateError(faults);
  return { files: read.flatMap((outcome) => (isDeclaration(outcome) ? [outcome] : [])), skipped };
}

/** Every `*.toml` in a folder and the folders in it, as confd finds them. Rejects with Fault `settings`. */
async function findResources(folder: string): Promise<{ readonly files: string[]; readonly skipped: Skipped[] }> {
  const unreadable = (cause: unknown): never => {
    throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: folder, cause });
  };
  const files: string[] = [];
  const skipped: Skipped[] = [];
  const entries = await readdir(folder, { withFileTypes: true }).catch(unreadable);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    const skip = (reason: string) => skipped.push({ path, reason });
    if (entry.isDirectory()) {
      const within = await findResources(path);
      files.push(...within.files);
      skipped.push(...within.skipped);
      continue;
    }
    const isFolder =
      entry.isSymbolicLink() &&
      (await stat(path).then(
        (found) => found.isDirectory(),
        () => false,
      ));
    if (isFolder) skip('it is a symbolic link to a folder, which confd does not follow either');
    else if (!entry.name.endsWith('.toml')) skip('its name does not end in .toml');
    else files.push(path);
  }
  return { files, skipped };
}

const isDeclaration = (outcome: FileDeclaration | readonly Fault[]): outcome is FileDeclaration => 'dest' in outcome;

async function readResource(
  folder: string,
  path: string,
  everywhere: string | undefined,
): Promise<FileDeclaration | readonly Fault[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    return new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  });
  if (text instanceof Fault) return [text];
  const faults: Fault[] = [];
  const at = (field: string) => `${path}:${lineOf(text, field)}: ${field}`;
  const fail = (field: string, what: string, hint?: string): undefined => {
    faults.push(new Fault('settings', what, { where: at(field), hint }));
  };
  const read = v.safeParse(resource, parseToml(path, text));
  if (!read.success) {
    for (const issue of read.issues) {
      const field = String(issue.path?.at(-1)?.key ?? 'template');
      if (issue.type === 'strict_object' && issue.expected === 'never') {
        fail(field, 'pointsman knows no such field', didYouMean(field, known) ?? `there are ${known.join(', ')}`);
      } else if (issue.type === 'strict_object') fail('template', `it has no ${field}`);
      else fail(field, issue.message);
    }
    return faults;
  }
  const given = read.output.template;
  const take = <T>(field: string, parsed: { ok: true; value: T } | { ok: false; reason: string }): T | undefined =>
    parsed.ok ? parsed.value : fail(field, parsed.reason);

  const keys = given.keys.map((key) => take('keys', parseForeignKey(slashed(key)))).filter((key) => key !== undefined);
  const prefix = take('prefix', parseForeignKey(slashed(everywhere ?? given.prefix ?? '/'))) ?? '';
  const mode = given.mode === undefined ? undefined : take('mode', parseMode(given.mode));
  const owner = ownerOf(given);
  if (owner !== undefined) take('owner', parseOwner(`${owner.user ?? ''}:${owner.group ?? ''}`));
  const check = given.check_cmd?.replaceAll(/\{\{\s*\.src\s*\}\}/g, stagedMark);
  if (check?.replaceAll(stagedMark, '').includes('{{')) {
    fail('check_cmd', 'only {{.src}} can stand in it', 'name the file by {{.src}}, and write the rest as it is');
  }
  if (faults.length > 0) return faults;
  return {
    ...{ where: path, dest: normalize(given.dest), mode, owner, escape: given.escape ?? 'word' },
    ...(await sourceOf(join(folder, 'templates', given.src))),
    check: check === undefined ? undefined : shell(check),
    reload: given.reload_cmd === undefined ? undefined : shell(given.reload_cmd),
    timeoutMs: defaultTimeoutMs,
    wait: defaultWait,
    keys: { kind: 'foreign', prefix, paths: keys },
  };
}

/** confd has every command run by a shell. */
const shell = (command: string): CommandLine => ['/bin/sh', '-c', command];

const slashed = (key: string): string => (key.startsWith('/') ? key : `/${key}`);

function ownerOf({ owner, group, uid, gid }: v.InferOutput<typeof template>): Owner | undefined {
  const user = owner ?? (uid === undefined ? undefined : String(uid));
  const of = group ?? (gid === undefined ? undefined : String(gid));
  return user === undefined && of === undefined ? undefined : { user, group: of };
}

async function sourceOf(src: string): Promise<Pick<FileDeclaration, 'src' | 'syntax'>> {
  const converted = `${src.replace(/\.tmpl$/, '')}.mustache`;
  if (src.endsWith('.mustache')) return { src, syntax: 'mustache' };
  return access(converted).then(
    () => ({ src: converted, syntax: 'mustache' }),
    () => ({ src, syntax: 'confd' }),
  );
}

/** confd.toml may hold a prefix for all resources; the rest of it is told to pointsman as settings. */
async function globalPrefix(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const { prefix } = parseToml(path, text);
  return typeof prefix === 'string' && prefix !== '' ? prefix : undefined;
}

function parseToml(path: string, text: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (cause) {
    const where = cause instanceof TomlError ? `${path}:${cause.line}:${cause.column}` : path;
    const [reason = ''] = describe(cause).split('\n');
    throw new Fault('settings', `it is not TOML: ${reason.replace(/^Invalid TOML document: /, '')}`, { where, cause });
  }
}

/** The parser of TOML does not tell where a field stands. */
function lineOf(text: string, field: string): number {
  const line = text.split('\n').findIndex((one) => new RegExp(`^\\s*\\[?\\s*${field}\\s*[\\]=]`).test(one));
  return line === -1 ? 1 : line + 1;
}
