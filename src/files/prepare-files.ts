import { dirname } from 'node:path';
import type { Ownership } from '../fs/replace-file.ts';
import { Fault, faultsOf } from '../model/fault.ts';
import type { FileDeclaration, Owner } from '../settings/file-declaration.ts';
import { thisMachine } from './confd/machine.ts';
import type { FileJob } from './file-job.ts';
import type { FileTemplate } from './file-template.ts';
import { openDestination } from './open-destination.ts';

/** A file that can be made: its template parsed, its owner found. */
export type PreparedFile = { readonly job: FileJob; readonly template: FileTemplate };

export async function loadTemplateOf(file: FileDeclaration): Promise<FileTemplate> {
  const { src, syntax, confdTemplates } = file;
  // Each language is loaded when a file is written in it.
  if (syntax === 'mustache') {
    const { loadFileTemplate } = await import('./file-template.ts');
    return loadFileTemplate(src, file.escape);
  }
  const { loadConfdTemplate } = await import('./confd/confd-template.ts');
  const folder = confdTemplates ?? dirname(src);
  return loadConfdTemplate({ file: src, folder, escape: file.escape, machine: thisMachine });
}

/** Reads all templates and finds all owners. Rejects with an AggregateError of all Faults, but for those of confd's files. */
export async function prepareFiles(declarations: readonly FileDeclaration[]): Promise<readonly PreparedFile[]> {
  const outcomes = await Promise.all(declarations.map(prepareFile));
  const faults = outcomes.flatMap((outcome) => ('faults' in outcome ? outcome.faults : []));
  if (faults.length > 0) throw new AggregateError(faults);
  return withoutTwins(outcomes.flatMap((outcome) => ('faults' in outcome ? [] : [outcome])));
}

/** Two destinations may lead to one file through symbolic links: each would undo what the other did. */
async function withoutTwins(files: readonly PreparedFile[]): Promise<readonly PreparedFile[]> {
  const makers = new Map<string, FileJob>();
  const kept: PreparedFile[] = [];
  for (const file of files) {
    const { job } = file;
    const last = job.confdTemplates === undefined ? 'follow' : 'replace';
    const at = await openDestination(job.dest, 'leave', last).catch(() => undefined);
    await at?.close();
    const path = at?.path ?? job.dest;
    const other = makers.get(path);
    if (other === undefined) {
      makers.set(path, job);
      kept.push(file);
      continue;
    }
    const what = `${job.dest} and ${other.dest} (${other.where}) are the same file: ${path}`;
    const refused = new Fault('settings', what, { where: job.where });
    if (job.confdTemplates === undefined) throw new AggregateError([refused]);
    kept.push({ ...file, job: { ...job, refused } });
  }
  return kept;
}

async function prepareFile(declared: FileDeclaration): Promise<PreparedFile | { readonly faults: readonly Fault[] }> {
  const { mode, owner, where, confdTemplates } = declared;
  const faults: Fault[] = [];
  const note = (error: unknown): undefined => void faults.push(...faultsOf(error));
  const [template, ids] = await Promise.all([
    loadTemplateOf(declared).catch(note),
    owner === undefined ? {} : findOwner(owner, where).catch(note),
  ]);
  const job = { ...declared, ownership: { mode, ...ids } };
  if (confdTemplates !== undefined) {
    const refused = ids === undefined ? faults.find(({ code }) => code !== 'template') : undefined;
    return { job: { ...job, refused }, template: template ?? brokenTemplate(faults) };
  }
  if (template === undefined || faults.length > 0) return { faults };
  return { job, template };
}

/** Stands for a template that cannot be read, until it can. */
const brokenTemplate = (faults: readonly Fault[]): FileTemplate => ({
  sources: [],
  uses: new Set(),
  render: () => {
    throw faults.find(({ code }) => code === 'template') ?? new AggregateError(faults);
  },
});

/** The numbers of a user and a group. Rejects with Fault `settings` when the machine does not know them. */
async function findOwner(owner: Owner, where: string): Promise<Pick<Ownership, 'uid' | 'gid'>> {
  const [uid, gid] = await Promise.all([find('passwd', owner.user, where), find('group', owner.group, where)]);
  return { uid, gid };
}

// getent asks whatever the machine is set up to ask: files, LDAP, systemd.
async function find(
  database: 'passwd' | 'group',
  name: string | undefined,
  where: string,
): Promise<number | undefined> {
  if (name === undefined) return undefined;
  if (/^[0-9]+$/.test(name)) return Number(name);
  const { execa } = await import('execa');
  const options = { cleanup: false, reject: false, timeout: 10_000, stdin: 'ignore' } as const;
  const { stdout } = await execa('getent', [database, name], options);
  const id = /^[^:]*:[^:]*:([0-9]+):/.exec(stdout ?? '')?.[1];
  if (id !== undefined) return Number(id);
  const what = database === 'passwd' ? 'user' : 'group';
  throw new Fault('settings', `this machine has no ${what} ${JSON.stringify(name)}`, { where });
}
