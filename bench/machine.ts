import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { readVersion } from '../src/haproxy/check.ts';

const printed = (command: string, ...args: readonly string[]): string => execFileSync(command, args).toString().trim();

/** The circumstances of a result: the machine, the versions of all parts, the commit. */
export async function describeMachine(haproxyBin?: string): Promise<string> {
  const folder = process.env['ETCD_ROOT'];
  const etcd = /etcd Version: (\S+)/.exec(printed(folder === undefined ? 'etcd' : join(folder, 'etcd'), '--version'));
  return [
    `${cpus().length} cores (${cpus()[0]?.model}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `Node ${process.version}`,
    ...(haproxyBin === undefined ? [] : [`HAProxy ${await readVersion(haproxyBin)}`]),
    `etcd ${etcd?.[1]}`,
    `commit ${printed('git', 'describe', '--always', '--dirty', '--exclude=*')}`,
  ].join(', ');
}
