import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { until } from '../support/until.ts';

const repository = join(import.meta.dirname, '../..');
const script = join(repository, 'scripts/systemd-root');

const patience = { deadlineMs: 60_000, everyMs: 200 };

/** EX_UNAVAILABLE, by which the script says that this machine lacks something. */
const lacking = 69;

/** What this machine lacks to boot systemd; undefined when it can, and then whatever fails is a failure. */
export function whyNoSystemd(): string | undefined {
  if (process.getuid?.() !== 0) return 'it takes root';
  const missing = ['systemd-nspawn', 'unshare', 'nsenter', 'ip'].filter(
    (one) => spawnSync('sh', ['-c', `command -v ${one}`]).status !== 0,
  );
  if (missing.length > 0) return `there is no ${missing.join(', ')}`;
  const namespaces = spawnSync('unshare', ['-m', '-n', '--propagation', 'private', 'true'], { encoding: 'utf8' });
  if (namespaces.status !== 0) return `no namespaces can be made: ${namespaces.stderr.trim()}`;
  const made = spawnSync(script, { encoding: 'utf8' });
  if (made.status === lacking) return made.stderr.trim();
  if (made.status !== 0) throw new Error(`scripts/systemd-root failed: ${made.stderr}`, { cause: made.error });
  return undefined;
}

export type Machine = Awaited<ReturnType<typeof bootMachine>>;

/** Boots systemd in namespaces of its own, with this repository at /opt/pointsman. Whatever is written there is gone with it. */
export async function bootMachine() {
  const { stdout: root } = await execa(script);
  const flags = ['--quiet', '--register=no', '--keep-unit', '--volatile=overlay', '--boot', '--link-journal=no'];
  const where = [`--directory=${root}`, `--bind-ro=${repository}:/opt/pointsman`, '--console=pipe', '--machine=pm'];
  const inside = `ip link set lo up; exec systemd-nspawn ${[...flags, ...where].join(' ')}`;
  const child = spawn('unshare', ['-m', '-n', '--propagation', 'private', 'sh', '-c', inside], {
    env: { ...process.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => output.push(String(text)));
  /** A command's arguments for nsenter. The only child of systemd-nspawn is the machine's PID 1. */
  const enter = (command: readonly string[]): string[] => {
    const pid = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
    return ['-t', pid, '-m', '-u', '-i', '-n', '-p', '-C', '--', 'env', '-C', '/', ...command];
  };
  const run = async (...command: readonly string[]): Promise<string> =>
    (await execa('nsenter', enter(command), { stdin: 'ignore', timeout: 120_000 })).stdout;
  const state = () => run('systemctl', 'is-system-running').catch((error) => String(error.stdout));
  await until('systemd has booted', async () => /^(running|degraded)$/.test(await state()), patience).catch((cause) => {
    child.kill('SIGKILL');
    throw new Error(`systemd did not boot: ${output.join('')}`, { cause });
  });
  return {
    /** Runs a command in the machine and gives its output. Rejects if it fails. */
    run,
    /** Starts a command that goes on. */
    start: (...command: readonly string[]) => spawn('nsenter', enter(command), { stdio: ['pipe', 'pipe', 'inherit'] }),
    async write(path: string, text: string): Promise<void> {
      await execa('nsenter', enter(['sh', '-c', `mkdir -p ${dirname(path)} && cat > ${path}`]), { input: text });
    },
    async close(): Promise<void> {
      await run('systemctl', 'poweroff').catch(() => undefined);
      await until('the machine is off', () => child.exitCode !== null, patience).catch(() => child.kill('SIGKILL'));
    },
  };
}
