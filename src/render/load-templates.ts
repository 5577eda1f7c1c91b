import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, Fault } from '../model/fault.ts';
import type { Templates } from './render.ts';
import { parseTemplate, type Template, type TemplateRole, templateFiles } from './template.ts';

/**
 * Reads the templates: the user's own where the folder has one, the shipped one where it does not. Rejects with
 * Fault `template` naming `file:line:column`.
 */
export async function loadTemplates(shipped: string, own: string | undefined): Promise<Templates> {
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

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new Fault('template', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}
