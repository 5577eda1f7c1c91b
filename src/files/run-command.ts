import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, errorCode } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';
import { withRawVariables } from './confd/raw-command.ts';
import { givenEnvironment, rawEnvironment } from './confd/raw-environment.ts';

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
  command: CommandLine,
  { timeoutMs, env, signal }: RunCommandOptions,
): Promise<CommandResult> {
  const [file] = command;
  if (signal.aborted) return { ok: false, reason: `${file}: pointsman ends`, output: '' };
  // A file and not a pipe: a reload may start a daemon that keeps its output open, and a pipe would be waited for.
  const path = join(tmpdir(), `pointsman-${randomBytes(8).toString('hex')}`);
  const output = await open(path, 'ax+', 0o600);
  await unlink(path);
  try {
    // Node's own, and not execa: that is a third of what `pointsman files --once` would load.
    const [program, ...args] = withRawVariables(command, rawEnvironment(env, givenEnvironment));
    const child = spawn(program, args, {
      // A group of its own, so that what it started can be ended with it.
      ...{ env: bound(env), detached: true, stdio: ['ignore', output.fd, output.fd] },
    });
    const ended = endOf(child);
    let overdue: string | undefined;
    const end = (reason: string) => {
      overdue ??= reason;
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const timer = setTimeout(() => end(`it took longer than ${timeoutMs} ms`), timeoutMs);
    const onAbort = () => end('pointsman ends');
    signal.addEventListener('abort', onAbort, { once: true });
    const looking = setInterval(() => void keepSmall(output), lookMs);
    const result = await ended;
    clearTimeout(timer);
    clearInterval(looking);
    signal.removeEventListener('abort', onAbort);
    const said = await tail(output);
    if (result.code === 0) return { ok: true, output: said };
    return { ok: false, reason: `${file}: ${overdue ?? whyFailed(result)}`, output: said };
  } catch (error) {
    return { ok: false, reason: `${file}: ${describe(error)}`, output: '' };
  } finally {
    await output.close();
  }
}

type CommandEnd =
  | { readonly code: number; readonly signal: null; readonly error: undefined }
  | { readonly code: null; readonly signal: NodeJS.Signals | null; readonly error: unknown };

/** Resolves when the command ended, or could not be started. */
function endOf(child: ChildProcess): Promise<CommandEnd> {
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: null, signal: null, error }));
    child.on('exit', (code, signal) =>
      resolve(code === null ? { code, signal, error: undefined } : { code, signal: null, error: undefined }),
    );
  });
}

function whyFailed({ code, signal, error }: CommandEnd): string {
  if (code !== null) return `it ended with exit code ${code}`;
  if (signal !== null) return `it was ended by ${signal}`;
  return errorCode(error) === 'ENOENT' ? 'there is no such command' : describe(error);
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
