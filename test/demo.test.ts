import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { startPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

/** The command lines of all processes that name this folder. */
async function processesOf(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
  return lines.filter((line) => line.includes(folder));
}

describe.each([
  // A terminal that is closed, and Ctrl-C.
  ['a folder', [], 'SIGHUP'],
  ['a real etcd', ['--etcd'], 'SIGINT'],
] as const)('the demo on %s', (_, flags, ending) => {
  test('shows instances that come and go without a failed request, and leaves nothing behind', async () => {
    const before = new Set(await readdir(tmpdir()));
    const demo = startPointsman(['demo', '--every', '400ms', ...flags]);
    await demo.printed('curl http://127.0.0.1:');
    await demo.printed('web-5');
    await until('one has left', () => demo.stdout.some((line) => /web-1.* leaves/.test(line)));
    await until('all was answered', () => demo.stdout.filter((line) => line.includes('answered:')).length >= 4);
    const [folder = ''] = (await readdir(tmpdir())).filter(
      (name) => name.startsWith('pointsman-demo-') && !before.has(name),
    );
    expect((await processesOf(folder)).length).toBeGreaterThan(3);

    demo.kill(ending);
    expect((await demo.ended).code).toBe(0);
    const end = demo.stdout.findIndex((line) => line.includes('nothing is left behind'));
    expect(demo.stdout.slice(end + 1).filter((line) => line.includes('served'))).toEqual([]);
    const answered = demo.stdout.filter((line) => line.includes('answered:'));
    expect(answered.filter((line) => !line.includes('0 failed'))).toEqual([]);
    expect(await processesOf(folder)).toEqual([]);
    expect(await readdir(tmpdir())).not.toContain(folder);
  });
});
