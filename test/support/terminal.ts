import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { until } from './until.ts';

const ours = join(import.meta.dirname, '../../bin/pointsman');

/** A command on a terminal of its own, 80 columns wide, which script(1) makes. */
export function startOnTerminal(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const command = ['exec', ours, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const inherited = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('POINTSMAN_') && !['NO_COLOR', 'FORCE_COLOR', 'CI'].includes(name),
  );
  const child = spawn('script', ['-qefc', `stty cols 80 rows 24; ${command.replace("'exec'", 'exec')}`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
    env: { ...Object.fromEntries(inherited), SHELL: '/bin/sh', TERM: 'xterm-256color', ...env },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  onTestFinished(async () => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    await ended;
  });
  return {
    /** All that was written, with what steers the terminal. */
    get output(): string {
      return output;
    },
    /** The lines that were written, without colours and what is drawn over again. */
    get lines(): readonly string[] {
      return output
        .split(/\r*\n/)
        .map((line) =>
          (line.replace(/^\^C/, '').split('\r').at(-1) ?? '').replace(/\u001b\[[0-9;?]*[a-zA-Z]/g, '').trimEnd(),
        );
    },
    /** Types these characters, such as `\u0003` for Ctrl-C. */
    type: (text: string) => void child.stdin.write(text),
    shows: (text: string | RegExp): Promise<boolean> =>
      until(`the terminal shows ${text}`, () =>
        typeof text === 'string' ? output.includes(text) : text.test(output),
      ).catch((error: unknown) => {
        throw new Error(`${error}\n${output}`);
      }),
    ended,
  };
}
