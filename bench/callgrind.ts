import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

const requests = 1000;

/** Requests of one client to the HAProxy under valgrind. */
type Client = {
  /** Resolves when HAProxy, which valgrind makes slow, serves. */
  readonly ready: () => Promise<unknown>;
  readonly ask: (requests: number) => Promise<unknown>;
};

/** Instructions in user space for each of 1,000 requests of a client. HAProxy has one thread. Writes to the folder `dir`. */
export async function instructionsOf(
  command: readonly string[],
  config: string,
  dir: string,
  client: Client,
): Promise<number> {
  const [out, extra] = [join(dir, 'callgrind'), join(dir, 'one-thread.cfg')];
  // pointsman sets the variable while no service has a state.
  await writeFile(extra, 'global\n    nbthread 1\n    set-var proc.pointsman_plain bool(true)\n');
  const tool = ['--tool=callgrind', '--instr-atstart=no', `--callgrind-out-file=${out}`];
  const child = spawn('valgrind', [...tool, ...command, '-db', '-f', extra, '-f', config], { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('close', resolve));
  const control = (...args: readonly string[]) => execa('callgrind_control', [...args, `${child.pid}`]);
  try {
    await client.ready();
    await client.ask(200);
    await control('-i', 'on');
    await client.ask(requests);
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
