import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, Fault } from '../model/fault.ts';
import { rawText } from '../model/raw-text.ts';
import type { Declarations } from './declared.ts';
import { parseDeclarations } from './parse-declarations.ts';

/** Reads what files and folders declare. Rejects with Fault `usage` if one of them cannot be read. */
export async function readDeclarations(paths: readonly string[]): Promise<Declarations> {
  const read = await Promise.all((await Promise.all(paths.map(filesOf))).flat().map(readOne));
  return {
    declared: read.flatMap(({ declared }) => declared),
    problems: read.flatMap(({ problems }) => problems),
  };
}

async function filesOf(path: string): Promise<readonly string[]> {
  const there = await stat(path).catch((cause: unknown) => {
    throw new Fault('usage', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  });
  if (!there.isDirectory()) return [path];
  const found = await readdir(path, { recursive: true, withFileTypes: true });
  return found
    .filter((one) => one.isFile() && /\.(?:ya?ml|json)$/.test(one.name) && !/\/\./.test(join(one.parentPath, one.name)))
    .map((one) => join(one.parentPath, one.name))
    .sort();
}

const readOne = async (file: string): Promise<Declarations> => parseDeclarations(file, rawText(await readFile(file)));
