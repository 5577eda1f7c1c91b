import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from '../model/fault.ts';

/** What a file of the folder holds. */
export type Found =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'unreadable'; readonly reason: string };

export type Scan = {
  /** Those that are new or were changed since the scan before. */
  readonly changed: ReadonlyMap<string, Found>;
  /** Those that are not there any more. */
  readonly gone: readonly string[];
};

const declares = /^[^.].*\.(ya?ml|json)$/;
/** No declaration has more; a larger file is something else. */
const mostBytes = 65_536;
/** One machine's instances, and a bound for a folder that is none of ours. */
const mostFiles = 10_000;

/** Reads the declaration files of one folder, again and again: only those that changed. */
export class FolderScan {
  readonly #path: string;
  /** Inode, size and time of change, by name. */
  readonly #stamps = new Map<string, string>();

  constructor(path: string) {
    this.#path = path;
  }

  /** Rejects when the folder cannot be listed: then nothing is known of any file. */
  async next(): Promise<Scan> {
    const names = (await readdir(this.#path)).filter((name) => declares.test(name)).sort();
    const changed = new Map<string, Found>();
    const there = new Set(names.slice(0, mostFiles));
    for (const name of names.slice(mostFiles)) {
      if (this.#stamps.get(name) !== 'too many')
        changed.set(name, unreadable(`the folder has more than ${mostFiles} files`));
      this.#stamps.set(name, 'too many');
      there.add(name);
    }
    await Promise.all(
      names.slice(0, mostFiles).map(async (name) => {
        const path = join(this.#path, name);
        try {
          // Links are followed: that is how Kubernetes mounts a ConfigMap.
          const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
          const stamp = [ino, size, mtimeNs, ctimeNs].join();
          if (this.#stamps.get(name) === stamp) return;
          this.#stamps.set(name, stamp);
          changed.set(name, size > mostBytes ? unreadable(`it has more than ${mostBytes} bytes`) : await read(path));
        } catch (error) {
          const reason = describe(error);
          if (this.#stamps.get(name) === reason) return;
          this.#stamps.set(name, reason);
          changed.set(name, unreadable(reason));
        }
      }),
    );
    const gone = [...this.#stamps.keys()].filter((name) => !there.has(name));
    for (const name of gone) this.#stamps.delete(name);
    return { changed, gone };
  }
}

const unreadable = (reason: string): Found => ({ kind: 'unreadable', reason });

async function read(path: string): Promise<Found> {
  return { kind: 'text', text: await readFile(path, 'utf8') };
}
