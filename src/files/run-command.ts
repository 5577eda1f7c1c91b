import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';

export type RunCommandOptions = {
  readonly timeoutMs: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** When it aborts, the command is killed. */
  readonly signal: AbortSignal;
};

export type CommandResult =
  | { readonly ok: true; readonly output: string }
  | { readonly ok: false; readonly reason: string; readonly output: string };

/** The end of what a command says is where it says what is wrong. */
const mostOutput = 4000;
/** How much of it may be on disk, in bytes, and how often that is looked at, in ms. */
const mostOnDisk = 1_000_000;
const lookMs = 50;

/** Runs a command to its end, or kills it and all that it started when its time is over. Never rejects. */
export async function runCommand(
  [file, ...args]: CommandLine,
  { timeoutMs, env, signal }: RunCommandOptions,
): Promise<CommandResult> {
  if (signal.aborted) return { ok: false, reason: `${file}: pointsman ends`, output: '' };
  // A file and not a pipe: a reload may start a daemon that keeps its output open, and a pipe would be waited for.
  const path = join(tmpdir(), `pointsman-${randomBytes(8).toString('hex')}`);
  const output = await open(path, 'ax+', 0o600);
  await unlink(path);
  try {
    // Not loaded by a process that runs no command: it is a fifth of what `pointsman files --once` loads.
    const { execa } = await import('execa');
    // execa gives the child the descriptor itself of a stream that has one.
    const into = createWriteStream(path, { fd: output.fd, autoClose: false });
    const child = execa(file, args, {
      // A group of its own, so that what it started can be ended with it.
      ...{ env: bound(env), extendEnv: false, detached: true, cleanup: false, reject: false, buffer: false },
      ...{ stdin: 'ignore', stdout: into, stderr: into },
    });
    let overdue: string | undefined;
    const end = (reason: string) => {
      overdue ??= reason;
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const timer = setTimeout(() => end(`it took longer than ${timeoutMs} ms`), timeoutMs);
    const onAbort = () => end('pointsman ends');
    signal.addEventListener('abort', onAbort, { once: true });
    const looking = setInterval(() => void keepSmall(output), lookMs);
    const result = await child;
    clearTimeout(timer);
    clearInterval(looking);
    signal.removeEventListener('abort', onAbort);
    const said = await tail(output);
    if (result.exitCode === 0) return { ok: true, output: said };
    return { ok: false, reason: `${file}: ${overdue ?? whyFailed(result)}`, output: said };
  } catch (error) {
    return { ok: false, reason: `${file}: ${describe(error)}`, output: '' };
  } finally {
    await output.close();
  }
}

type CommandFailure = {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly code?: string | undefined;
  readonly originalMessage?: string | undefined;
};

function whyFailed({ exitCode, signal, code, originalMessage }: CommandFailure): string {
  if (exitCode !== undefined) return `it ended with exit code ${exitCode}`;
  if (signal !== undefined) return `it was ended by ${signal}`;
  return code === 'ENOENT' ? 'there is no such command' : (originalMessage ?? 'it could not be run');
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it is gone already.
  }
}

/** Empties the output when it is large: a command that prints without end must not fill the disk. */
async function keepSmall(output: Awaited<ReturnType<typeof open>>): Promise<void> {
  try {
    if ((await output.stat()).size > mostOnDisk) await output.truncate(0);
  } catch {
    // The command ended meanwhile, and its output is closed.
  }
}

async function tail(file: Awaited<ReturnType<typeof open>>): Promise<string> {
  const { size } = await file.stat();
  const start = Math.max(0, size - mostOutput);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
  return buffer.toString('utf8', 0, bytesRead).trim();
}

const bound = (env: RunCommandOptions['env']): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
