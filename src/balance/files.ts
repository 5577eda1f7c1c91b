import { randomBytes } from 'node:crypto';
import { chmod, chown, open, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '../model/fault.ts';

/** Where a balancer keeps what it needs, all under `--dir`. */
export type Layout = {
  readonly config: string;
  readonly candidate: string;
  /** The last configuration that HAProxy refused, for a person to look at. */
  readonly refused: string;
  readonly routesMap: string;
  readonly runtimeSocket: string;
  readonly masterSocket: string;
  readonly lastKnown: string;
  /** Who this balancer is among those with its id. */
  readonly owner: string;
};

export function layoutOf(dir: string): Layout {
  return {
    config: join(dir, 'haproxy.cfg'),
    candidate: join(dir, 'haproxy.cfg.candidate'),
    refused: join(dir, 'haproxy.cfg.refused'),
    routesMap: join(dir, 'maps', 'routes.map'),
    runtimeSocket: join(dir, 'run', 'haproxy.sock'),
    masterSocket: join(dir, 'run', 'master.sock'),
    lastKnown: join(dir, 'state', 'catalog.json'),
    owner: join(dir, 'state', 'owner'),
  };
}

/**
 * Replaces a file so that a reader, or a crash, sees the old text or the new one and nothing between: written beside it,
 * synced, renamed. Mode and owner of a file that is there are kept. Rejects with Fault `storage`.
 */
export async function replaceFile(path: string, text: string, { mode = 0o644 } = {}): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const before = await stat(path).catch(() => undefined);
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    if (before !== undefined) {
      await chmod(temporary, before.mode & 0o7777);
      if (before.uid !== process.geteuid?.() || before.gid !== process.getegid?.()) {
        await chown(temporary, before.uid, before.gid);
      }
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('storage', `it cannot be written: ${reason}`, { where: path, cause });
  }
}

/** The rename itself is on disk only once the folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
