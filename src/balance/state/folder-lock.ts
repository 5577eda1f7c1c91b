import { createHash, randomBytes } from 'node:crypto';
import { link, rename, stat, unlink } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeFolder } from '../../fs/make-folder.ts';
import { describe, errorCode, Fault } from '../../model/fault.ts';
import { parseRecord } from '../../model/json.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import { hintForUnwritable } from './unwritable.ts';

/** The answer of the process that holds the lock. */
type Holder = { readonly pid: number; readonly host: string; readonly since: string; readonly stopping: boolean };

export type FolderLockOptions = {
  /** The folder, as the user named it. */
  readonly dir: string;
  readonly path: string;
  readonly pid: number;
  readonly host: string;
  readonly since: Date;
  /** Aborts when this pointsman ends: a successor then waits for it. */
  readonly signal: AbortSignal;
};

const answerMs = 1000;
const stoppingMs = 30_000;
const againMs = 50;
const mostAttempts = 20;
const restoreMs = 250;

/**
 * Locks the folder for this process. Returns a function that unlocks it. The lock is a unix socket that the holder listens on: the
 * kernel closes it however the holder ends, so the file that a killed process left does not count, whatever process has its pid now,
 * in this container or another. Rejects with Fault `folder-in-use` while another process holds the lock; it waits for one that is
 * stopping. A deleted socket is made again within a moment.
 */
export async function lockFolder(options: FolderLockOptions): Promise<() => Promise<void>> {
  const { dir, path, signal } = options;
  const own = `${path}.${randomBytes(3).toString('hex')}`;
  try {
    await makeFolder(dirname(path), 0o700);
    const server = await listen(own, options);
    try {
      await take(options, own);
    } catch (error) {
      server.close();
      throw error;
    } finally {
      await unlink(own).catch(() => undefined);
    }
    return await hold(options, server);
  } catch (error) {
    if (error instanceof Fault) throw error;
    const hint = signal.aborted ? undefined : await hintForUnwritable(dirname(path), error);
    throw new Fault('storage', `it cannot be locked: ${describe(error)}`, {
      where: `--dir ${dir}`,
      hint,
      cause: error,
    });
  }
}

/** Keeps the lock, and makes the socket again when somebody deleted it. Returns a function that unlocks the folder. */
async function hold(options: FolderLockOptions, first: Server): Promise<() => Promise<void>> {
  const { path } = options;
  let server = first;
  let { ino } = await stat(path);
  const restore = async () => {
    const there = await stat(path).catch(() => undefined);
    // Another pointsman may have locked the folder meanwhile. It keeps the lock.
    if (there !== undefined) return;
    const own = `${path}.${randomBytes(3).toString('hex')}`;
    await makeFolder(dirname(path), 0o700);
    const next = await listen(own, options);
    try {
      await link(own, path);
      ({ ino } = await stat(path));
      server.close();
      server = next;
    } catch (error) {
      next.close();
      throw error;
    } finally {
      await unlink(own).catch(() => undefined);
    }
  };
  const restores = new SerialQueue();
  const timer = setInterval(() => {
    // After a failure, as on a full disk, the next interval tries again.
    restores.run(restore).catch(() => undefined);
  }, restoreMs).unref();
  return async () => {
    clearInterval(timer);
    await restores.idle();
    const now = await stat(path).catch(() => undefined);
    if (now?.ino === ino) await unlink(path).catch(() => undefined);
    server.close();
  };
}

function listen(path: string, { pid, host, since, signal }: FolderLockOptions): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(`${JSON.stringify({ pid, host, since: since.toISOString(), stopping: signal.aborted })}\n`);
    });
    server.once('error', reject);
    server.listen(path, () => resolve(server.unref()));
  });
}

/** Gives the socket its well-known name. Only one process at a time can do so. */
async function take({ dir, path, signal }: FolderLockOptions, own: string): Promise<void> {
  const deadline = performance.now() + stoppingMs;
  for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
    try {
      return await link(own, path);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    let holder = await ask(path);
    while (holder !== undefined && holder !== 'silent' && holder.stopping && performance.now() < deadline) {
      if (signal.aborted) break;
      await pause(againMs);
      holder = await ask(path);
    }
    if (holder !== undefined) throw inUse(dir, holder);
    await removeStale(path);
  }
  throw new Fault('folder-in-use', 'other processes keep locking this folder', { where: `--dir ${dir}` });
}

/**
 * Removes the socket of a process that has ended. An abstract socket lets only one process at a time do so: otherwise a process could
 * move the lock that another one has just taken, and a third one would lock the folder, too.
 */
async function removeStale(path: string): Promise<void> {
  const alone = createServer();
  const mine = await new Promise<boolean>((resolve) => {
    // Some systems, as macOS, have no abstract sockets. There it goes on without one.
    alone.once('error', (error) => resolve(errorCode(error) !== 'EADDRINUSE'));
    alone.listen(`\0pointsman:${createHash('sha256').update(path).digest('hex')}`, () => resolve(true));
  });
  if (!mine) {
    await pause(againMs);
    return;
  }
  try {
    if ((await ask(path)) === undefined) await moveStale(path);
  } finally {
    await new Promise<void>((resolve) => void alone.close(() => resolve()));
  }
}

/** Moves the socket away and deletes it. Moves it back if a process in another network namespace has just put its own there. */
async function moveStale(path: string): Promise<void> {
  const aside = `${path}.${randomBytes(3).toString('hex')}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await ask(aside)) !== undefined) await link(aside, path).catch(() => undefined);
  await unlink(aside).catch(() => undefined);
}

/** Asks the process that listens there. Undefined when none does; `silent` when it does not answer. */
function ask(path: string): Promise<Holder | 'silent' | undefined> {
  return new Promise((resolve) => {
    let text = '';
    let connected = false;
    const socket = createConnection(path);
    socket.setEncoding('utf8').setTimeout(answerMs, () => socket.destroy());
    socket.once('connect', () => {
      connected = true;
    });
    socket.on('data', (chunk: string) => {
      text = (text + chunk).slice(0, 1000);
    });
    socket.once('error', () => socket.destroy());
    socket.once('close', () => resolve(connected ? readHolder(text) : undefined));
  });
}

/** The process that holds the lock; undefined when none does, or when it does not answer. */
export async function holderOf(path: string): Promise<Pick<Holder, 'pid'> | undefined> {
  const holder = await ask(path);
  return holder === 'silent' ? undefined : holder;
}

function readHolder(text: string): Holder | 'silent' {
  const parsed = parseRecord(text);
  if (!parsed.ok) return 'silent';
  const [pid, host, since, stopping] = ['pid', 'host', 'since', 'stopping'].map((name) => parsed.value.get(name));
  if (typeof pid !== 'number' || typeof host !== 'string' || typeof since !== 'string') return 'silent';
  return { pid, host, since, stopping: stopping === true };
}

function inUse(dir: string, holder: Holder | 'silent'): Fault {
  const who =
    holder === 'silent'
      ? 'which does not answer'
      : `with the pid ${holder.pid} on ${holder.host}, since ${holder.since}`;
  return new Fault('folder-in-use', `another pointsman uses this folder, ${who}`, {
    where: `--dir ${dir}`,
    hint: 'stop the other one, or give each its own --dir',
  });
}
