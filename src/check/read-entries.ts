import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { describe, Fault } from '../model/fault.ts';
import { policyKey } from '../model/key.ts';
import type { EntryFile } from './entry-file.ts';

/**
 * Reads entries for the registry from files. A folder is a tree of keys, `services/web`, as `--registry dir:` has it. A file is
 * a policy, and its name without `.json` the service's, unless its path ends as a key does. Rejects with Fault `usage`.
 */
export async function readEntries(paths: readonly string[]): Promise<readonly EntryFile[]> {
  const entries: EntryFile[] = [];
  for (const path of paths) {
    const there = await stat(path).catch((cause: unknown) => {
      throw new Fault('usage', `it cannot be read: ${describe(cause)}`, { where: path, cause });
    });
    if (!there.isDirectory()) {
      entries.push(await read(path, keyOf(path)));
      continue;
    }
    const found = await readdir(path, { recursive: true, withFileTypes: true });
    const files = found
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name))
      // As the directory registry has it: a dot hides what is pointsman's own.
      .filter(
        (file) =>
          !relative(path, file)
            .split(sep)
            .some((part) => part.startsWith('.')),
      )
      .sort();
    for (const file of files) entries.push(await read(file, withoutEnding(relative(path, file).split(sep).join('/'))));
  }
  return entries;
}

async function read(file: string, key: string): Promise<EntryFile> {
  return { file, key, text: await readFile(file, 'utf8') };
}

function keyOf(path: string): string {
  const key = /(?:^|\/)((?:instances|overrides)\/[^/]+\/[^/]+|(?:services|claims)\/[^/]+)$/.exec(path)?.[1];
  return withoutEnding(key ?? policyKey(basename(path)));
}

const withoutEnding = (key: string): string => key.replace(/\.json$/, '');
