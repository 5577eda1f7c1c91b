import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { parse } from 'yaml';
import { describe, Fault } from '../model/fault.ts';
import { knownLayouts } from '../registry/layouts/known-layouts.ts';
import { compileLayout } from '../registry/layouts/layout.ts';
import { withLayout } from '../registry/layouts/layout-registry.ts';
import type { Registry } from '../registry/registry.ts';
import type { RegistrySettings } from '../settings/registry.ts';
import { folderFault, openAdapter } from './open-registry.ts';

/**
 * Opens a registry whose tree was not made for pointsman. `name` is one of the known layouts or a YAML file that declares
 * one. Rejects with Fault `settings`.
 */
export async function openForeignRegistry(settings: RegistrySettings, name: string, logger: Logger): Promise<Registry> {
  const layout = compileLayout(await declarationOf(name));
  if (!layout.ok) throw new Fault('settings', layout.reason, { where: name });
  const { prefix } = layout.value;
  const fault = await folderFault(settings);
  if (fault !== undefined) throw fault;
  const there =
    settings.kind === 'etcd' ? { ...settings, root: prefix } : { ...settings, path: `${settings.path}/${prefix}` };
  return withLayout(await openAdapter(there, logger), layout.value, ({ key, reason, revision }) =>
    logger.warn({ event: 'entry-rejected', key: prefix + key, reason, revision: String(revision) }, 'entry not served'),
  );
}

async function declarationOf(name: string): Promise<unknown> {
  const known = Object.entries(knownLayouts).find(([one]) => one === name);
  if (known !== undefined) return known[1];
  try {
    return parse(await readFile(name, 'utf8'));
  } catch (cause) {
    throw new Fault('settings', `it is not a known layout, and it cannot be read as a file: ${describe(cause)}`, {
      where: `--layout ${name}`,
      hint: `known names: ${Object.keys(knownLayouts).join(', ')}`,
      cause,
    });
  }
}
