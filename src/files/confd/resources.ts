import { readFile, stat } from 'node:fs/promises';
import { join, normalize, posix, resolve } from 'node:path';
import { describe, errorCode, Fault, faultsOf } from '../../model/fault.ts';
import { didYouMean } from '../../model/nearest.ts';
import { parseDuration } from '../../model/quantity.ts';
import {
  defaultTimeoutMs,
  defaultWait,
  type EscapeName,
  escapeNames,
  type FileDeclaration,
  type Owner,
  parseOwner,
  type Wait,
} from '../../settings/file-declaration.ts';
import { checkCommand, reloadCommand } from './commands.ts';
import { findResources, type Note } from './find-resources.ts';
import { parseConfdMode } from './mode.ts';
import { Fields, parseToml } from './toml.ts';

/** What holds for all resources of a folder. */
export type ConfdChoices = {
  /** Instead of the prefix of each resource. */
  readonly prefix: string | undefined;
  /** Without check and reload. */
  readonly syncOnly: boolean;
  /** A folder that is not there has no resources, as for confd; otherwise it is an error. */
  readonly mayLack: boolean;
  /** For the resources that do not say how values are written. */
  readonly escape: EscapeName | undefined;
};

export type ConfdResources = {
  readonly files: readonly FileDeclaration[];
  /** What has no effect. */
  readonly notes: readonly Note[];
  /** The resources that cannot be used. */
  readonly refused: readonly Fault[];
};

/** How long nothing must change before a file is made, in ms. */
const quietMs = 2;

const known =
  'src dest keys prefix mode owner group uid gid check_cmd reload_cmd check_cmd_timeout reload_cmd_timeout debounce escape'.split(
    ' ',
  );

/**
 * Reads what a folder of confd declares: `*toml` in `conf.d` and its folders, with templates in `templates/`. A folder without
 * any is a note, as with confd: an entrypoint that waits for exit code 0 goes on. Rejects with Fault `settings` when it cannot be read.
 */
export async function readConfdResources(folder: string, choices: ConfdChoices): Promise<ConfdResources> {
  if (choices.mayLack && !(await isThere(folder))) {
    return { files: [], notes: [{ path: folder, reason: 'there is no such folder' }], refused: [] };
  }
  const found = await findResources(join(folder, 'conf.d'));
  const notes = [...found.notes];
  if (found.files.length === 0)
    notes.push({ path: join(folder, 'conf.d'), reason: 'there is no template resource (*.toml) in it' });
  const byDest = new Map<string, FileDeclaration>();
  const refused: Fault[] = [];
  for (const path of found.files) {
    try {
      const { file, unknown } = await readResource(folder, path, choices);
      notes.push(...unknown);
      const other = byDest.get(file.dest);
      if (other !== undefined) notes.push({ path: other.where, reason: `${path} makes the same file and comes later` });
      byDest.set(file.dest, file);
    } catch (error) {
      refused.push(...faultsOf(error));
    }
  }
  return { files: [...byDest.values()], notes, refused };
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: unknown) => errorCode(error) !== 'ENOENT',
  );

type Resource = { readonly file: FileDeclaration; readonly unknown: readonly Note[] };

async function readResource(folder: string, path: string, choices: ConfdChoices): Promise<Resource> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  });
  const whole = new Fields(path, text, parseToml(path, text));
  const table = whole.table('template');
  if (table === undefined) throw new Fault('settings', 'it has no table [template]', { where: path });
  const fields = new Fields(path, text, table);
  const file = declare(folder, path, fields, choices);
  const faults = [...whole.faults, ...fields.faults];
  if (file === undefined || faults.length > 0) throw new AggregateError(faults);
  if (whole.table('backend') !== undefined) {
    throw new Fault('settings', 'pointsman does not read a backend of its own', {
      where: whole.where('backend'),
      hint: 'all files use one registry: set --registry',
    });
  }
  const unknown = fields.unknown().map((field) => {
    const instead = didYouMean(field.toLowerCase(), known);
    return { path: fields.where(field), reason: `no such field${instead === undefined ? '' : `: ${instead}`}` };
  });
  return { file, unknown };
}

function declare(folder: string, path: string, fields: Fields, choices: ConfdChoices): FileDeclaration | undefined {
  const src = fields.text('src');
  const dest = fields.text('dest');
  if (src === undefined || src === '') return fields.fail('template', 'it has no src');
  if (dest === undefined || dest === '') return fields.fail('template', 'it has no dest');
  const at = resolve(normalize(dest));
  const mode = fields.text('mode');
  const prefix = fields.text('prefix');
  const isMustache = src.endsWith('.mustache');
  const checkText = fields.text('check_cmd') ?? '';
  const reloadText = fields.text('reload_cmd') ?? '';
  const timeouts = ['check_cmd_timeout', 'reload_cmd_timeout'].map((name) => duration(fields, name));
  const debounce = duration(fields, 'debounce');
  const paths = [...new Set((fields.texts('keys') ?? []).map(cleanKey))];
  const command = <T>(field: string, make: () => T): T | undefined => {
    try {
      return make();
    } catch (error) {
      return fields.fail(field, describe(error), 'it is a template of Go that sees the new file as {{.src}}');
    }
  };
  const check = checkText === '' ? undefined : command('check_cmd', () => checkCommand(checkText, at));
  const reload = reloadText === '' ? undefined : command('reload_cmd', () => reloadCommand(reloadText, at));
  return {
    ...{ where: path, dest: at, src: join(folder, 'templates', src), confdTemplates: join(folder, 'templates') },
    syntax: isMustache ? 'mustache' : 'confd',
    escape: escapeOf(fields) ?? choices.escape ?? (isMustache ? 'word' : 'none'),
    mode: mode === undefined || mode === '' ? undefined : take(fields, 'mode', parseConfdMode(mode)),
    owner: ownerOf(fields),
    check: choices.syncOnly ? undefined : check,
    reload: choices.syncOnly ? undefined : reload,
    timeoutMs: Math.max(...timeouts.map((ms) => ms ?? 0)) || defaultTimeoutMs,
    wait: waitOf(debounce, paths.length),
    keys: {
      kind: 'foreign',
      prefix: cleanKey(choices.prefix ?? prefix ?? ''),
      paths,
    },
  };
}

/**
 * Changes under one key come together, as etcd made them, so the file is made at once. Those of one transaction that are under
 * several keys come one after the other, and a file must not be made of a part of them.
 */
function waitOf(debounceMs: number | undefined, keys: number): Wait {
  const minMs = debounceMs ?? quietMs;
  return { minMs, maxMs: Math.max(minMs, defaultWait.maxMs), lead: debounceMs === undefined && keys <= 1 };
}

function take<T>(
  fields: Fields,
  name: string,
  parsed: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string },
): T | undefined {
  return parsed.ok ? parsed.value : fields.fail(name, parsed.reason);
}

/** A key as confd joins it: with a slash first, none doubled, and none at its end. The whole tree is empty. */
const cleanKey = (key: string): string => posix.join('/', key).replace(/\/$/, '');

function escapeOf(fields: Fields): EscapeName | undefined {
  const given = fields.text('escape');
  if (given === undefined) return undefined;
  const found = escapeNames.find((name) => name === given);
  return found ?? fields.fail('escape', `"${given}" is not one of ${escapeNames.join(', ')}`);
}

function duration(fields: Fields, name: string): number | undefined {
  const text = fields.text(name);
  return text === undefined || text === '' ? undefined : take(fields, name, parseDuration(text));
}

/** confd takes -1 for an owner that is not given. */
function ownerOf(fields: Fields): Owner | undefined {
  const id = (name: string) => {
    const number = fields.integer(name);
    return number === undefined || number < 0 ? undefined : String(number);
  };
  const [uid, gid] = [id('uid'), id('gid')];
  const user = fields.text('owner') || uid;
  const group = fields.text('group') || gid;
  if (user === undefined && group === undefined) return undefined;
  return take(fields, 'owner', parseOwner(`${user ?? ''}:${group ?? ''}`));
}
