import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, errorCode } from '../model/fault.ts';
import { type Doubt, doubtOfFile, doubtOfFolder } from './trusted-writer.ts';

/** The content of a file. */
export type Found =
  /** `doubt`: why no command in the text may be run; undefined when its writer is trusted. */
  | { readonly kind: 'text'; readonly text: string; readonly doubt: Doubt | undefined }
  | { readonly kind: 'unreadable'; readonly reason: string };

export type Scan = {
  /** The files that are new or were changed since the scan before. */
  readonly changed: ReadonlyMap<string, Found>;
  /** The files that do not exist any more. */
  readonly gone: readonly string[];
};

const declares = /^[^.].*\.(ya?ml|json)$/;
/** No declaration has more; a larger file is something else. */
const mostBytes = 65_536;
/** More than one machine's instances: a folder with more files was not made for declarations. */
const mostFiles = 10_000;

/**
 * How old a file must be before its stamp identifies its content, in ms. Two writes within one tick of the file system's clock
 * have one time: 1 to 10 ms before Linux 6.13, and up to 2 s on a shared one.
 */
const tickMs = 2000;

/** The last state of a file. `text` is kept while the stamp alone does not show whether the file changed. */
type Known = { readonly stamp: string; readonly text: string | undefined };

/** Reads the declaration files of one folder, again and again: only those that changed. */
export class FolderScan {
  readonly #path: string;
  readonly #wall: () => number;
  readonly #known = new Map<string, Known>();

  /** `wall` is the time of day, in ms. */
  constructor(path: string, wall: () => number) {
    this.#path = path;
    this.#wall = wall;
  }

  /** Rejects when the folder cannot be listed: then nothing is known of any file. */
  async next(): Promise<Scan> {
    const names = (await readdir(this.#path)).filter((name) => declares.test(name)).sort();
    const folderDoubt = await doubtOfFolder(this.#path);
    const changed = new Map<string, Found>();
    const there = new Set<string>();
    const tell = (name: string, known: Known, found: Found) => {
      there.add(name);
      const before = this.#known.get(name);
      const text = found.kind === 'text' ? found.text : undefined;
      if (known.stamp !== before?.stamp || (before.text !== undefined && before.text !== text))
        changed.set(name, found);
      this.#known.set(name, known);
    };
    await Promise.all(
      names.map(async (name, at) => {
        let handle: FileHandle | undefined;
        try {
          if (at >= mostFiles) throw new Error(`the folder has more than ${mostFiles} files`);
          const path = join(this.#path, name);
          // Links are followed: that is how Kubernetes mounts a ConfigMap. One handle serves the check of the writer and the
          // read. A named pipe without a writer must not block the scan.
          handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
          const file = await handle.stat({ bigint: true });
          if (!file.isFile()) throw new Error('it is not a file');
          const { ino, size, mtimeNs, ctimeNs } = file;
          const doubt = folderDoubt ?? (await doubtOfFile(path, this.#path, file));
          const stamp = [ino, size, mtimeNs, ctimeNs, doubt?.reason ?? ''].join();
          const before = this.#known.get(name);
          if (before?.stamp === stamp && before.text === undefined) return void there.add(name);
          if (size > mostBytes) throw new Error(`it has more than ${mostBytes} bytes`);
          const text = await handle.readFile('utf8');
          const young = this.#wall() - Number(ctimeNs / 1_000_000n) < tickMs;
          tell(name, { stamp, text: young ? text : undefined }, { kind: 'text', text, doubt });
        } catch (error) {
          // Gone since the folder was listed, or a link to nothing.
          if (errorCode(error) === 'ENOENT') return;
          const reason = describe(error);
          tell(name, { stamp: reason, text: undefined }, { kind: 'unreadable', reason });
        } finally {
          await handle?.close();
        }
      }),
    );
    const gone = [...this.#known.keys()].filter((name) => !there.has(name));
    for (const name of gone) this.#known.delete(name);
    return { changed, gone };
  }
}
