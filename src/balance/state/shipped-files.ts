import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { BalancePaths } from './paths.ts';

// HAProxy sends a file from one buffer (tune.bufsize, 16 KiB), and keeps 1 KiB of it for headers.
export const longestPage = 14 * 1024;

/**
 * Copies the files that pointsman ships for HAProxy to the balancer's folder: an HAProxy in another container sees no other folder.
 * Rejects with Fault `settings` for an own page that cannot be served, and with `storage`.
 */
export async function provideShipped(shipped: string, paths: BalancePaths, ownPage: string | undefined): Promise<void> {
  const page = ownPage === undefined ? await read(join(shipped, 'maintenance.html')) : await readPage(ownPage);
  const scripts = [paths.pauseScript, paths.matchScript, paths.forwardAuthScript];
  const texts = await Promise.all(scripts.map((path) => read(join(shipped, basename(path)))));
  await makeFolder(dirname(paths.maintenancePage), 0o750);
  await provide(paths.maintenancePage, page);
  for (const [at, path] of scripts.entries()) await provide(path, texts[at] ?? '');
}

/** Does not write a file whose text is the same: so a balancer can start again on a full disk. */
async function provide(path: string, text: string): Promise<void> {
  const there = await readFile(path, 'utf8').catch(() => undefined);
  if (there !== text) await replaceFile(path, text, { mode: 0o640 });
}

async function readPage(path: string): Promise<string> {
  const page = await read(path);
  if (page.length > 0 && Buffer.byteLength(page) <= longestPage) return page;
  throw new Fault('settings', `the page has ${Buffer.byteLength(page)} bytes`, {
    where: `--maintenance-page ${path}`,
    hint: `1 to ${longestPage} can be served`,
  });
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}
