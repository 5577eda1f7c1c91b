import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { watchFolders } from '../fs/watch-folders.ts';
import { describe, errorCode, Fault } from '../model/fault.ts';
import { didYouMean } from '../model/nearest.ts';
import type { Templates } from './render.ts';
import { parseTemplate, type Template, type TemplateRole, templateFiles } from './template.ts';

/**
 * Reads the templates: the user's own where the folder has one, the shipped one where it does not. Rejects with
 * Fault `template` naming `file:line:column`, and with what `folderFaults` finds.
 */
export async function loadTemplates(shipped: string, own: string | undefined): Promise<Templates> {
  const [fault] = own === undefined ? [] : await folderFaults(own);
  if (fault !== undefined) throw fault;
  const load = async (role: TemplateRole): Promise<Template> => {
    const name = templateFiles[role];
    const ownText = own === undefined ? undefined : await readIfThere(join(own, name));
    if (own !== undefined && ownText !== undefined) return parseTemplate(role, join(own, name), ownText);
    const path = join(shipped, name);
    const text = await readIfThere(path);
    if (text === undefined) throw new Fault('template', 'the shipped template is missing', { where: path });
    return parseTemplate(role, path, text);
  };
  const [frame, policy, backend, server] = await Promise.all([
    load('frame'),
    load('policy'),
    load('backend'),
    load('server'),
  ]);
  return { frame, policy, backend, server };
}

const names: readonly string[] = Object.values(templateFiles);

/**
 * Why a folder is none of own templates: it is not there, or a name in it is that of no template. The shipped templates
 * would be used silently instead. Names that resemble none, such as README.md, are nobody's mistake.
 */
export async function folderFaults(folder: string): Promise<readonly Fault[]> {
  let found: readonly string[];
  try {
    found = await readdir(folder);
  } catch (cause) {
    const missing = errorCode(cause) === 'ENOENT';
    const what = missing ? `the folder ${folder} does not exist` : `${folder} cannot be listed: ${describe(cause)}`;
    return [new Fault('settings', what, { where: '--haproxy-templates', cause })];
  }
  if (!found.some((name) => names.includes(name))) {
    const hint = `name its files ${names.join(', ')}`;
    return [new Fault('settings', `the folder ${folder} holds no template`, { where: '--haproxy-templates', hint })];
  }
  return found.toSorted().flatMap((name) => {
    // Hidden files, and what an editor leaves behind.
    if (names.includes(name) || /^\.|^#|~$|\.(bak|orig|rej|sw.|tmp)$/.test(name)) return [];
    const meant = names.find((one) => one.split('.')[0] === name.split('.')[0]);
    const hint = meant === undefined ? didYouMean(name, names) : `did you mean ${meant}?`;
    if (hint === undefined && !name.endsWith('.mustache')) return [];
    return [
      new Fault('template', 'no template has this name, so pointsman does not use the file', {
        where: join(folder, name),
        hint: hint ?? `templates are named ${names.join(', ')}`,
      }),
    ];
  });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined;
    throw new Fault('template', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}

export type TemplateWatchOptions = {
  readonly shipped: string;
  readonly own: string;
  /** Those in use. */
  readonly current: Templates;
  readonly logger: Logger;
  readonly onTemplates: (templates: Templates) => void;
};

/** Reads the templates again whenever their folder changes. Ones that cannot be read change nothing. */
export function watchTemplates({
  shipped,
  own,
  current,
  logger,
  onTemplates,
}: TemplateWatchOptions): () => Promise<void> {
  let closed = false;
  let inUse = current;
  const reload = async () => {
    try {
      const templates = await loadTemplates(shipped, own);
      if (closed || sameTexts(templates, inUse)) return;
      inUse = templates;
      onTemplates(templates);
    } catch (error) {
      const reason = describe(error);
      logger.error({ event: 'template-refused', reason }, `${reason}; the previous templates stay in use`);
    }
  };
  const close = watchFolders({
    folders: [own],
    onChange: reload,
    onError: (error) =>
      logger.warn(
        { event: 'template-watch', reason: describe(error) },
        'pointsman cannot watch the folder of templates',
      ),
  });
  return async () => {
    closed = true;
    await close();
  };
}

function sameTexts(a: Templates, b: Templates): boolean {
  return (['frame', 'policy', 'backend', 'server'] as const).every((role) => a[role].text === b[role].text);
}
