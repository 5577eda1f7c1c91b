import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { LinkedWatch } from '../../fs/linked-watch.ts';
import { describe } from '../../model/fault.ts';
import type { Rendered } from '../../render/rendered.ts';

/** The hashes of the pages, by file. */
export type ErrorPages = ReadonlyMap<string, string>;

type ErrorPagesParts = {
  /** The folder of the pages that policies name for errors. */
  readonly folder: string;
  /** The pages before HAProxy loaded them. */
  readonly loaded: ErrorPages;
  readonly logger: Pick<Logger, 'warn'>;
  /** Whether the configuration that HAProxy serves names this file. */
  readonly isServed: (file: string) => boolean;
  /** A page that HAProxy serves changed: HAProxy reads it at a reload only. */
  readonly onReload: (file: string) => void;
  /** Another page changed, perhaps one for which HAProxy refused a configuration. */
  readonly onChange: () => void;
};

/** Whether a configuration has this page: for the errors of a policy, or of all that have none. */
export function namesPage({ base, policies }: Pick<Rendered, 'base' | 'policies'>, file: string): boolean {
  const names = (text: string): boolean => text.includes(` file ${file} `);
  return names(base.before) || policies.some(names);
}

/** Reads the pages of a folder, which need not be there. */
export async function readErrorPages(folder: string): Promise<ErrorPages> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.html'));
  const found = new Map<string, string>();
  for (const file of names.map((name) => join(folder, name))) {
    const page = await readFile(file).catch(() => undefined);
    if (page !== undefined) found.set(file, hash('sha256', page));
  }
  return found;
}

/** Follows the pages that HAProxy answers instead of errors. */
export function watchErrorPages(parts: ErrorPagesParts): () => Promise<void> {
  const { folder, logger, isServed, onReload, onChange } = parts;
  let known = parts.loaded;
  const look = async () => {
    const found = await readErrorPages(folder);
    const changed = [...found].filter(([file, digest]) => known.get(file) !== digest).map(([file]) => file);
    known = found;
    for (const file of changed.filter(isServed)) onReload(file);
    if (changed.length > 0) onChange();
    await watch.follow([...found.keys()]);
  };
  const watch = new LinkedWatch({
    folder,
    onChange: () => void look(),
    onError: (error) => logger.warn({ event: 'error-pages-watch', reason: describe(error) }, 'not watched'),
  });
  return () => watch.close();
}
