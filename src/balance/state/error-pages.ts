import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { exists } from '../../fs/exists.ts';
import { LinkedWatch } from '../../fs/linked-watch.ts';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { describe } from '../../model/fault.ts';
import type { Rendered } from '../../render/rendered.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import { longestPage } from './shipped-files.ts';

export type ErrorPagesParts = {
  /** The operator's folder of the pages that policies name. */
  readonly folder: string;
  /** The folder of the copies that HAProxy reads. */
  readonly copies: string;
  readonly logger: Pick<Logger, 'warn'>;
  /** Whether the configuration that HAProxy serves names this copy. */
  readonly isServed: (file: string) => boolean;
  /** A page that HAProxy serves changed: HAProxy reads it at a reload only. */
  readonly onReload: (file: string) => void;
  /** Another page changed, perhaps one for which HAProxy refused a configuration. */
  readonly onChange: () => void;
  /** Why a page that is in use is not the operator's present one; undefined: each is. */
  readonly onTrouble: (reason: string | undefined) => void;
};

/** Whether a configuration has this page: for the errors of a policy, or of all that have none. */
export function namesPage({ base, policies }: Pick<Rendered, 'base' | 'policies'>, file: string): boolean {
  const names = (text: string): boolean => text.includes(` file ${file} `);
  return names(base.before) || policies.some(names);
}

/**
 * Copies the pages that HAProxy answers instead of errors, and follows them. HAProxy reads copies, so a page that somebody deletes or spoils
 * while it is in use goes on being served, and holds up no reload of others.
 */
export class ErrorPages {
  readonly #parts: ErrorPagesParts;
  readonly #looks = new SerialQueue();
  /** The copies, by name. */
  readonly #pages = new Map<string, Buffer>();
  #watch: LinkedWatch | undefined;

  constructor(parts: ErrorPagesParts) {
    this.#parts = parts;
  }

  /** Makes the copies before HAProxy starts. Rejects with Fault `storage`. */
  async prepare(): Promise<void> {
    const { copies } = this.#parts;
    await makeFolder(copies, 0o750);
    for (const name of await pagesIn(copies)) this.#pages.set(name, await readFile(join(copies, name)));
    await this.#look();
  }

  /** Follows the folder. */
  watch(): void {
    const { folder, logger } = this.#parts;
    const onError = (error: unknown) =>
      logger.warn({ event: 'error-pages-watch', reason: describe(error) }, 'pages for errors are not watched');
    const onChange = () => void this.#looks.run(() => this.#look()).catch(onError);
    this.#watch = new LinkedWatch({ folder, onChange, onError });
    onChange();
  }

  /** Writes copies again that somebody deleted. Returns their paths. Rejects with Fault `storage`. */
  restore(): Promise<readonly string[]> {
    const { copies } = this.#parts;
    return this.#looks.run(async () => {
      const restored: string[] = [];
      for (const [name, page] of this.#pages) {
        const path = join(copies, name);
        if (await exists(path)) continue;
        await makeFolder(copies, 0o750);
        await replaceFile(path, page, { mode: 0o640 });
        restored.push(path);
      }
      return restored;
    });
  }

  async close(): Promise<void> {
    await this.#watch?.close();
    await this.#looks.idle();
  }

  async #look(): Promise<void> {
    const { folder, copies, isServed, onReload, onChange, onTrouble } = this.#parts;
    const names = await pagesIn(folder);
    const refused = new Map<string, string>();
    const changed: string[] = [];
    for (const name of names) {
      const page = await readPage(join(folder, name));
      if (typeof page === 'string') refused.set(name, page);
      else if (this.#pages.get(name)?.equals(page) !== true) {
        await replaceFile(join(copies, name), page, { mode: 0o640 });
        this.#pages.set(name, page);
        changed.push(join(copies, name));
      }
    }
    for (const name of [...this.#pages.keys()].filter((one) => !names.includes(one))) {
      if (isServed(join(copies, name))) refused.set(name, 'it is gone');
      else {
        this.#pages.delete(name);
        await rm(join(copies, name), { force: true });
      }
    }
    for (const file of changed.filter(isServed)) onReload(file);
    if (changed.length > 0) onChange();
    const [first] = [...refused].filter(([name]) => isServed(join(copies, name)));
    onTrouble(first && `${join(folder, first[0])}: ${first[1]}; its last content is served`);
    await this.#watch?.follow(names.map((name) => join(folder, name)));
  }
}

/** The names of the pages in a folder, which need not be there. */
async function pagesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch(() => [])).map((path) => basename(path)).filter((name) => name.endsWith('.html'));
}

/** A page, or why HAProxy cannot serve it. */
async function readPage(file: string): Promise<Buffer | string> {
  try {
    const { size } = await stat(file);
    if (size === 0 || size > longestPage) return `it has ${size} bytes, and 1 to ${longestPage} can be served`;
    return await readFile(file);
  } catch (error) {
    return `it cannot be read: ${describe(error)}`;
  }
}
