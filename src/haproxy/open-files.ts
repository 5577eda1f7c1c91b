import { readFile } from 'node:fs/promises';
import { globalOf } from './global-probe.ts';

/** The limits of a worker, as in `show info`. */
export type WorkerLimits = {
  /** Connections of clients that it accepts at once (maxconn). */
  readonly connections: number;
  /** Files that it may need to have open at once, with two for each of these connections (maxsock). */
  readonly files: number;
};

export function readWorkerLimits(info: string): WorkerLimits | undefined {
  const connections = /^Maxconn: (\d+)$/m.exec(info)?.[1];
  const files = /^Maxsock: (\d+)$/m.exec(info)?.[1];
  return connections === undefined || files === undefined
    ? undefined
    : { connections: Number(connections), files: Number(files) };
}

/** The number of open files that HAProxy needs, and the number that it may have. */
export type Shortage = { readonly needed: number; readonly limit: number };

/** Reads why HAProxy does not start: `Cannot raise FD limit to 540, limit is 400`; from 3.4 `…, current limit is 400 and hard limit is 400`. */
export function readShortage(text: string): Shortage | undefined {
  const found = /Cannot raise FD limit to (\d+), (?:current limit is \d+ and hard )?limit is (\d+)/.exec(text);
  return found === null ? undefined : { needed: Number(found[1]), limit: Number(found[2]) };
}

/** The limits in the `global` section of a configuration. HAProxy computes a limit that is not there from the hard limit. */
export type ConfiguredLimits = { readonly maxconn: number | undefined; readonly files: number | undefined };

export function readConfiguredLimits(config: string): ConfiguredLimits {
  const text = globalOf(config)?.text ?? '';
  const number = (pattern: RegExp) => {
    const found = pattern.exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  return { maxconn: number(/^\s*maxconn\s+(\d+)/m), files: number(/^\s*(?:ulimit-n|fd-hard-limit)\s+(\d+)/m) };
}

/**
 * The hard limit of open files of a process, which HAProxy raises its own limit to. Undefined where it cannot be read: without
 * /proc, for the process of another user, and where there is no limit.
 */
export async function hardLimitOf(pid: number | 'self'): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/limits`, 'latin1').catch(() => '');
  const hard = /^Max open files +\S+ +(\d+)/m.exec(text)?.[1];
  return hard === undefined ? undefined : Number(hard);
}
