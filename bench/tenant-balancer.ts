import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { haproxyBin, memoryMb, metricOf, root } from './ways.ts';

/** The only nameserver of the balancers. It answers nothing. */
export type Silence = { readonly resolvConf: string; close(): void };

/** Undefined where this needs rights that we do not have: names are then looked up as they are on this machine. */
export async function startSilence(dir: string): Promise<Silence | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const address = `127.${16 + (process.pid % 200)}.53.53`;
  const socket = createSocket('udp4');
  await new Promise<void>((done) => socket.bind(53, address, done));
  const resolvConf = join(dir, 'resolv.conf');
  await writeFile(resolvConf, `nameserver ${address}\n`);
  return { resolvConf, close: () => socket.close() };
}

type Started = {
  readonly registry: string;
  readonly dir: string;
  readonly silence: Silence | undefined;
};

/** A balancer that may open 4,096 files, as under many service supervisors. */
export async function startBalancer({ registry, dir, silence }: Started, deadlineMs = 60_000) {
  const [http = 0, admin = 0] = await freePorts(2);
  const began = performance.now();
  const balance = [
    resolve('bin', 'pointsman'),
    'balance', '--registry', registry, '--root', root, '--dir', dir, '--id', 'bench', '--haproxy', haproxyBin,
    '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--log-format', 'json',
  ]; // biome-ignore format: a command line
  const limited = ['sh', '-c', 'ulimit -n 4096; exec "$@"', 'sh', ...balance];
  const mounted = ['sh', '-c', 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"', 'sh'];
  const [command = '', ...args] =
    silence === undefined ? limited : ['unshare', '--mount', ...mounted, silence.resolvConf, ...limited];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-1_000_000);
  });
  const serves = await until('pointsman serves', () => log.includes('"event":"serving"'), {
    deadlineMs,
    everyMs: 5,
  }).then(
    () => true,
    () => false,
  );
  return {
    serves,
    startedMs: performance.now() - began,
    http,
    admin,
    metric: (name: string) => metricOf(admin, name),
    /** The peak of pointsman's process, and what all processes of HAProxy have now. */
    memory: async () => ({ pointsman: await memoryMb(child.pid, 'VmHWM'), haproxy: await memoryOfChildren(child.pid) }),
    async close() {
      const gone = new Promise((done) => child.once('close', done));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function memoryOfChildren(pid: number | string | undefined): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  let sum = 0;
  for (const child of children.split(' ').filter((one) => one !== '')) {
    sum += (await memoryMb(Number(child), 'VmRSS').catch(() => 0)) + (await memoryOfChildren(child));
  }
  return sum;
}
