import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { startPointsman } from './support/processes.ts';
import { startRegistration } from './support/registration.ts';
import { until } from './support/until.ts';

// A real PID namespace: in it, bin/pointsman is what it is in a container.
const namespace = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
const [unshare = '', ...unshareArgs] = namespace;
const tried = spawnSync(unshare, [...unshareArgs, 'true'], { encoding: 'utf8' });
const possible = tried.status === 0;
if (!possible) {
  process.stderr.write(`register as PID 1 is not tested, for a PID namespace takes root: ${tried.stderr}\n`);
}

async function start() {
  const { location, recorder, states } = await startRegistration('folder');
  /** Starts register as PID 1 with a command, which writes JavaScript. */
  const parent = async (code: string, ...flags: readonly string[]) => {
    const what = [
      '--registry',
      location,
      '--service',
      'web',
      '--id',
      'a',
      '--address',
      '10.0.0.1:80',
      '--check',
      'none',
    ];
    const command = ['--', process.execPath, '-e', code];
    const process_ = startPointsman(['register', ...what, ...flags, ...command], { through: namespace });
    await process_.printed('up');
    await process_.logged('announced');
    // unshare waits for its one child, and takes no signal for it.
    const children = await readFile(`/proc/${process_.pid}/task/${process_.pid}/children`, 'utf8');
    const first = Number(children.trim());
    return Object.assign(process_, { signalFirst: (name: NodeJS.Signals) => process.kill(first, name) });
  };
  return { parent, recorder, states };
}

const up = `console.log('up'); setInterval(() => {}, 1000);`;

describe.skipIf(!possible)('register as the first process of a container', () => {
  test('reaps the orphans that its command leaves behind', async () => {
    const { parent } = await start();
    // Each of these ends after the shell that started it has.
    const orphans = `require('child_process').spawn('/bin/sh', ['-c', 'for i in 1 2 3 4 5 6 7 8; do (sleep 0.2 & echo orphan $!); done'], { stdio: 'inherit' });`;
    const first = await parent(`${orphans} ${up}`);
    const pids = await until('they are eight', () => {
      const lines = first.stdout.filter((line) => line.startsWith('orphan'));
      return lines.length === 8 && lines.map((line) => line.split(' ')[1]);
    });
    expect(new Set(pids).size).toBe(8);
    // The namespace's own /proc is not ours; a process of it is known here by its last pid.
    await until('nobody of them is left, not even as a zombie', async () => {
      const inside = await innerPids(first.pid);
      return pids.every((pid) => !inside.has(Number(pid)));
    });
  });

  test('passes on every signal', async () => {
    const { parent } = await start();
    const names = ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGURG', 'SIGWINCH', 'SIGCONT'] as const;
    const first = await parent(
      `for (const name of ${JSON.stringify(names)}) process.on(name, () => console.log('got', name)); ${up}`,
    );
    for (const name of names) {
      first.signalFirst(name);
      await first.printed(`got ${name}`);
    }
  });

  test('leaves on SIGTERM before its command is told, and ends with its exit code', async () => {
    const { parent, states } = await start();
    const first = await parent(`process.on('SIGTERM', () => { console.log('told'); process.exit(7); }); ${up}`);
    first.signalFirst('SIGTERM');
    expect((await first.ended).code).toBe(7);
    expect(first.stdout).toContain('told');
    expect(first.log.map(({ event }) => event)).toEqual(expect.arrayContaining(['leaving', 'left']));
    await until('the key is gone', () => states().at(-1) === 'deleted');
    expect(states()).toEqual(['ready', 'draining', 'deleted']);
  });

  test('kills a command that does not end within --grace, and ends with 128 and the signal', async () => {
    const { parent } = await start();
    const first = await parent(`process.on('SIGTERM', () => console.log('never')); ${up}`, '--grace', '100ms');
    first.signalFirst('SIGTERM');
    expect((await first.ended).code).toBe(137);
    expect(first.stdout).toContain('never');
  });

  test('leaves at once when its command is killed, with 128 and the signal', async () => {
    const { parent, recorder } = await start();
    const first = await parent(`process.stdin.once('data', () => process.kill(process.pid, 'SIGKILL')); ${up}`);
    first.say('die\n');
    expect((await first.ended).code).toBe(137);
    await recorder.sees('instances/web/a', undefined);
  });

  test('does not touch what its command reads and prints', async () => {
    const { parent } = await start();
    const first = await parent(`process.stdin.pipe(process.stdout); ${up}`);
    first.say('not ours: \u{1f40b}\t\u0001\n');
    await first.printed('not ours: \u{1f40b}\t\u0001');
  });
});

/** The pids, as they count them, of the processes in the namespace that unshare made. */
async function innerPids(unsharePid: number): Promise<ReadonlySet<number>> {
  const pids = new Set<number>();
  const visit = async (pid: number): Promise<void> => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const inner = /^NSpid:\s+\d+\s+(\d+)$/m.exec(status)?.[1];
    if (inner !== undefined) pids.add(Number(inner));
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    for (const child of children.trim().split(' ').filter(Boolean)) await visit(Number(child));
  };
  await visit(unsharePid);
  return pids;
}
