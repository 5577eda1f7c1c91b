import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { errorCode } from '../../model/fault.ts';

/** A file that is written seldom, with the modes that it and its folder are made with. */
export type KeptFile = { readonly path: string; readonly mode: number; readonly folderMode: number };

/** Remembers the text of small files, and writes a file again that somebody deleted. */
export class KeptFiles {
  readonly #files: readonly KeptFile[];
  readonly #known = new Map<string, { readonly stamp: string; readonly text: string }>();

  constructor(files: readonly KeptFile[]) {
    this.#files = files;
  }

  /** Reads the files that changed, and writes the missing ones. Returns the paths of these. Rejects with Fault `storage`. */
  async restore(): Promise<readonly string[]> {
    const restored: string[] = [];
    for (const { path, mode, folderMode } of this.#files) {
      const stamp = await stampOf(path);
      const known = this.#known.get(path);
      if (stamp === known?.stamp) continue;
      if (stamp !== undefined) {
        const text = await readFile(path, 'utf8').catch(() => undefined);
        if (text !== undefined) this.#known.set(path, { stamp, text });
      } else if (known !== undefined) {
        await makeFolder(dirname(path), folderMode);
        await replaceFile(path, known.text, { mode });
        restored.push(path);
      }
    }
    return restored;
  }
}

/** Undefined for a file that does not exist. */
async function stampOf(path: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
