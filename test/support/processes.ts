import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { onTestFailed, onTestFinished } from 'vitest';
import { until } from './until.ts';

/** A line of pointsman's log. */
export type LogLine = { readonly level: string; readonly event: string; readonly msg: string } & Readonly<
  Record<string, unknown>
>;

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type StartOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Another pointsman than this checkout's. */
  readonly executable?: string;
  /** A command line that runs the one after it, such as unshare's. */
  readonly through?: readonly string[];
};

const ours = join(import.meta.dirname, '../../bin/pointsman');

/**
 * Starts `bin/pointsman` with JSON logs; what is still running when the test is finished, its children included, is
 * killed then. A failed test prints its output.
 */
export function startPointsman(args: readonly string[], options: StartOptions = {}): PointsmanProcess {
  const pointsman = new PointsmanProcess(args, options);
  onTestFinished(() => pointsman.destroy());
  onTestFailed(() => {
    process.stderr.write(`--- pointsman ${args.join(' ')}\n${pointsman.output.join('\n')}\n---\n`);
  });
  return pointsman;
}

/** Runs `bin/pointsman` to its end. */
export async function runPointsman(args: readonly string[], options: StartOptions = {}) {
  const pointsman = startPointsman(args, options);
  const { code } = await pointsman.ended;
  return { code, stdout: pointsman.stdout, stderr: pointsman.stderr };
}

export class PointsmanProcess {
  readonly pid: number;
  /** Resolves when the process is gone and all its output was read. */
  readonly ended: Promise<Ended>;
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  /** Both, in the order they came. */
  readonly output: string[] = [];
  readonly log: LogLine[] = [];
  readonly #child: ChildProcess;

  constructor(args: readonly string[], { env = {}, cwd, executable = ours, through = [] }: StartOptions) {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('POINTSMAN_'));
    // A group of its own, so that `destroy` reaches the commands that register is the parent of.
    const [file = executable, ...rest] = [...through, executable, ...args];
    const child = spawn(file, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: { ...Object.fromEntries(inherited), POINTSMAN_LOG_FORMAT: 'json', ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    if (child.pid === undefined) throw new Error(`${executable} cannot be started`);
    this.pid = child.pid;
    this.#child = child;
    this.#read(child.stdout, this.stdout);
    this.#read(child.stderr, this.stderr);
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends a signal to this process alone, as a supervisor does. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Writes to its standard input. */
  say(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for a log line with this event, from the first line on. */
  logged(event: string, where: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return until(`the log says ${event}`, () => {
      const found = this.log.find((line) => line.event === event && where(line));
      if (found === undefined && !this.running) throw new Error(`ended before: ${this.output.join('\n')}`);
      return found;
    });
  }

  /** Waits for a line of the command's own output. */
  printed(text: string): Promise<string> {
    return until(`it prints ${text}`, () => this.stdout.find((line) => line.includes(text)));
  }

  /** Kills the whole group, and waits until it is gone. */
  async destroy(): Promise<void> {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch (error) {
      // No process of the group is left.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
    await this.ended;
  }

  #read(stream: Readable, into: string[]): void {
    createInterface({ input: stream }).on('line', (line) => {
      into.push(line);
      this.output.push(line);
      if (line.startsWith('{"')) this.log.push(JSON.parse(line) as LogLine);
    });
  }
}
