import { readdir } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { ownedKeys, readOwnership } from '../apply/ownership.ts';
import { entryProblems } from '../check/entry-problems.ts';
import { entryOfFile } from '../declarations/entry-file.ts';
import { filesOfExport } from '../declarations/export-files.ts';
import { canDeclare, type FormattedEntry, formatDeclarations } from '../declarations/format-declarations.ts';
import { makeFolder } from '../fs/make-folder.ts';
import { replaceFile } from '../fs/replace-file.ts';
import { isDeclaredArea } from '../model/declared-area.ts';
import { describe, errorCode, Fault } from '../model/fault.ts';
import { areaOfKey } from '../model/key.ts';
import { showKey } from '../model/parsed.ts';
import type { Entry } from '../registry/registry.ts';
import { type ExportSettings, exportCommand } from '../settings/export.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { print, warn } from './outputs.ts';
import { sayingWaits, waitingFor } from './saying-waits.ts';

/** Areas that pointsman writes itself. They have no meaning in another registry. */
const ownAreas = ['balancers', 'releases', 'waits', 'labels', 'sets'];

/** `pointsman export`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(exportCommand, invocation);
  const opened = await openRegistry(settings.registry, await createLogger(settings.log), { decoding: 'raw' });
  const registry = sayingWaits(opened, () => waitingFor(opened.location));
  try {
    const { entries, revision } = await registry.read('');
    const exported = chosen(entries, settings);
    if (settings.folder !== undefined) await writeFiles(resolve(settings.folder), exported);
    else {
      const text = `# ${registry.location} at revision ${revision}\n${formatDeclarations(exported)}`;
      process.stdout.write(text);
    }
  } finally {
    await registry.close();
  }
  return done;
}

/** The entries to be exported. Warns of those that no file can have, and of those that no balancer accepts. */
function chosen(entries: readonly Entry[], { set, areas }: ExportSettings): readonly FormattedEntry[] {
  const owned = set === undefined ? undefined : ownedBy(entries, set);
  const found: Entry[] = [];
  let unknown = 0;
  for (const entry of entries) {
    const area = areaOfKey(entry.key);
    if (entry.leased || ownAreas.includes(area)) continue;
    if (owned !== undefined && !owned.has(entry.key)) continue;
    if (!isDeclaredArea(area)) unknown += 1;
    else if (areas.includes(area)) found.push(entry);
  }
  if (unknown > 0) warn(`${unknown} key${unknown === 1 ? ' is' : 's are'} in no area of pointsman, and left out`);
  return found.flatMap(({ key, value, rejected }) => {
    if (rejected !== undefined) warn(`${showKey(key)}: ${rejected}; it is left out`);
    else if (!canDeclare({ key, value })) warn(`${showKey(key)}: no file can declare this key; it is left out`);
    else {
      const [problem] = entryProblems(entryOfFile({ file: key, key, text: value }));
      if (problem !== undefined) warn(`${showKey(key)}: ${problem.what}; it is exported as it is`);
      return [{ key, value }];
    }
    return [];
  });
}

function ownedBy(entries: readonly Entry[], set: NonNullable<ExportSettings['set']>): ReadonlySet<string> {
  const ownership = readOwnership(entries);
  if (!ownership.ok) throw new Fault('settings', ownership.reason, { where: '--set' });
  const parts = ownership.value.sets.get(set);
  if (parts !== undefined) return ownedKeys(parts);
  const known = [...ownership.value.sets.keys()].sort();
  const hint = known.length === 0 ? 'no set owns anything' : `the sets are ${known.join(', ')}`;
  throw new Fault('settings', `no set ${set} owns anything`, { where: '--set', hint });
}

/** Rejects with Fault `usage`. */
async function makeExportFolder(path: string): Promise<void> {
  await makeFolder(path).catch((cause: unknown) => {
    const isFile = errorCode(cause) === 'EEXIST';
    const what = isFile ? 'it is a file, not a folder' : `the folder cannot be made: ${describe(cause)}`;
    throw new Fault('usage', what, { where: path, cause });
  });
}

async function writeFiles(folder: string, entries: readonly FormattedEntry[]): Promise<void> {
  const files = filesOfExport(entries);
  await makeExportFolder(folder);
  for (const [path, text] of files) {
    const file = join(folder, path);
    await makeExportFolder(dirname(file));
    await replaceFile(file, text);
    print(`${file}\n`);
  }
  const there = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const one of there) {
    const path = relative(folder, join(one.parentPath, one.name));
    if (!one.isFile() || !/\.ya?ml$/.test(one.name) || files.has(path)) continue;
    warn(`${join(folder, path)} is from before: delete it if the registry no longer has what it declares`);
  }
}
