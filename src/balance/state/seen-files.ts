import { readFile, stat } from 'node:fs/promises';

export type Touches = {
  /** Another program wrote to a file, perhaps the same text again. */
  readonly touched: boolean;
  /** The files that had another text than pointsman wrote. */
  readonly changed: readonly string[];
};

/**
 * Notices that another program wrote to files of pointsman, also when the text stayed the same: no program can set the time of a
 * change (ctime).
 */
export class SeenFiles {
  readonly #known = new Map<string, string>();
  readonly #changed = new Set<string>();
  #touchedSince = false;
  /** Whether another program wrote to one of them since HAProxy loaded them. */
  touched = false;

  /** To be called after pointsman wrote or read these files. */
  async written(paths: readonly string[]): Promise<void> {
    for (const path of paths) this.#known.set(path, await stampOf(path));
  }

  /** Whether another program wrote to one of these. `written` has the text that pointsman wrote. */
  async look(written: ReadonlyMap<string, string>): Promise<boolean> {
    let found = false;
    for (const [path, text] of written) {
      const known = this.#known.get(path);
      const stamp = await stampOf(path);
      if (known === undefined || stamp === known) continue;
      found = true;
      this.touched = true;
      this.#touchedSince = true;
      this.#known.set(path, stamp);
      const now = await readFile(path, 'utf8').catch(() => undefined);
      if (now !== text) this.#changed.add(path);
    }
    return found;
  }

  /** Returns the changes since the last call. */
  take(): Touches {
    const found = { touched: this.#touchedSince, changed: [...this.#changed] };
    this.#changed.clear();
    this.#touchedSince = false;
    return found;
  }
}

/** Changes with each write, rename, or change of the mode; empty when there is no file. */
async function stampOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found === undefined ? '' : `${found.ino} ${found.size} ${found.ctimeNs}`;
}
