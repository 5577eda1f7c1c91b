import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { until } from '../support/until.ts';

/**
 * Bundles a program that stands here for plain Node (20 runs no TypeScript) and returns the file. It can be run from
 * anywhere and by anybody unless it takes its packages from node_modules.
 */
export async function buildProcess(dir: string, name: string, packages: 'bundle' | 'external'): Promise<string> {
  const outfile = join(dir, `${name}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, `${name}.ts`)],
    bundle: true,
    packages,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outfile,
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  return outfile;
}

/** A program of buildProcess that runs, and what it said. */
export class Child {
  readonly said: unknown[][] = [];
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(file: string, args: readonly string[], as: { uid?: number } = {}) {
    this.#process = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'], ...as });
    this.#ended = once(this.#process, 'exit');
    if (this.#process.stdout === null) throw new Error('a pipe was asked for');
    createInterface(this.#process.stdout).on('line', (line) => this.said.push(JSON.parse(line)));
  }

  /** Waits until it says this word (for the nth time). */
  async says(word: string, times = 1): Promise<void> {
    await until(`${word} (${JSON.stringify(this.said)})`, () => this.said.filter(([w]) => w === word).length >= times);
  }

  get view(): unknown {
    return this.last('view')?.[1];
  }

  /** The newest line with this word. */
  last(word: string): unknown[] | undefined {
    return this.said.findLast(([w]) => w === word);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async ended(): Promise<void> {
    await this.#ended;
  }

  get exitCode(): number | null {
    return this.#process.exitCode;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await this.#ended;
    }
  }
}
