import { readFile, stat } from 'node:fs/promises';

export type Touches = {
  /** Somebody else wrote to a file, perhaps the same text again. */
  readonly touched: boolean;
  /** The files that said something else than was written. */
  readonly changed: readonly string[];
};

/**
 * Notices that somebody else wrote to files of ours, also when they say the same again: the time of a change (ctime) cannot
 * be set by anyone.
 */
export class SeenFiles {
  readonly #known = new Map<string, string>();
  readonly #untold = new Set<string>();
  #touchUntold = false;
  /** Whether somebody else touched one of them, perhaps without changing its text. */
  touched = false;

  /** These were just written, or read. */
  async written(paths: readonly string[]): Promise<void> {
    for (const path of paths) this.#known.set(path, await stampOf(path));
  }

  /** Whether one of these is not as it was left; `written` has the text that each is to have. */
  async look(written: ReadonlyMap<string, string>): Promise<boolean> {
    let found = false;
    for (const [path, text] of written) {
      const known = this.#known.get(path);
      const stamp = await stampOf(path);
      if (known === undefined || stamp === known) continue;
      found = true;
      this.touched = true;
      this.#touchUntold = true;
      this.#known.set(path, stamp);
      const now = await readFile(path, 'utf8').catch(() => undefined);
      if (now !== text) this.#untold.add(path);
    }
    return found;
  }

  /** What somebody else did since this was asked last. */
  take(): Touches {
    const found = { touched: this.#touchUntold, changed: [...this.#untold] };
    this.#untold.clear();
    this.#touchUntold = false;
    return found;
  }
}

/** Another one after each write, rename, or change of its mode; empty for a file that is not there. */
async function stampOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found === undefined ? '' : `${found.ino} ${found.size} ${found.ctimeNs}`;
}
