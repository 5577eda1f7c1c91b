import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { ask } from '../test/support/ask.ts';
import { until } from '../test/support/until.ts';
import { askAll } from './h2load.ts';
import { type RequestFiles, requested } from './request-ways.ts';

const requests = 1000;
const host = 'www.example.com';

/** HAProxy itself, by a command that valgrind can run: the loader of a `scripts/debian-root`, where there is one. */
export const haproxyCommand = (root: string | undefined): readonly string[] =>
  root === undefined
    ? ['haproxy']
    : [
        join(root, 'lib64/ld-linux-x86-64.so.2'),
        ...['--library-path', join(root, 'usr/lib/x86_64-linux-gnu'), join(root, 'usr/sbin/haproxy')],
      ];

/** Instructions in user space for each of 1,000 requests of one client over h1. HAProxy has one thread. */
export async function countInstructions(command: readonly string[], dir: string, files: RequestFiles): Promise<number> {
  const [out, extra] = [join(dir, 'callgrind'), join(dir, 'one-thread.cfg')];
  // pointsman sets the variable while no service has a state.
  await writeFile(extra, 'global\n    nbthread 1\n    set-var proc.pointsman_plain bool(true)\n');
  const tool = ['--tool=callgrind', '--instr-atstart=no', `--callgrind-out-file=${out}`];
  const child = spawn('valgrind', [...tool, ...command, '-db', '-f', extra, '-f', files.config], { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('close', resolve));
  const control = (...args: readonly string[]) => execa('callgrind_control', [...args, `${child.pid}`]);
  try {
    const path = requested[files.kind];
    const target = { port: files.http, protocol: 'h1', host, path } as const;
    await until('HAProxy serves under valgrind', async () => (await ask(files.http, host, path)).status === 200, {
      deadlineMs: 120_000,
    });
    await askAll(target, 200, 1);
    await control('-i', 'on');
    await askAll(target, requests, 1);
    await control('-i', 'off');
    await control('-d');
  } finally {
    child.kill('SIGTERM');
    await gone;
  }
  const printed = await Promise.all([out, `${out}.1`].map((file) => readFile(file, 'utf8')));
  const totals = [...printed.join('\n').matchAll(/^(?:totals|summary): (\d+)/gm)].map(([, total]) => Number(total));
  return Math.round(Math.max(...totals) / requests);
}
