import { unlink, writeFile } from 'node:fs/promises';
import type { ValidationProblem } from './check.ts';
import type { Listener } from './listeners.ts';
import { ownersOfPort } from './port-owner.ts';
import { probeConfig } from './probe-config.ts';
import { runWithin } from './run-within.ts';

/** The hint for a port that HAProxy may not bind. */
export const noRightHint =
  'ports below 1024 need the right to: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or --http with a higher port';

/** An address that HAProxy cannot listen on, with the reason. */
export type Unbindable = ValidationProblem & { readonly line: number; readonly address: string };

// HAProxy needs 30 ms for it.
const probeMs = 5000;

/**
 * Finds which of these addresses HAProxy could not listen on now. `haproxy -c` does not see that, and a reload that fails on
 * it makes the old worker refuse connections for 2 s. So HAProxy itself is started on nothing but these listeners and one
 * that cannot be had: it tries all of them with its own rights and options, names those that fail, and ends. Empty too
 * when it cannot be asked. An address cannot be had either when a program of the same user has it and would share it, unless that
 * is `ours`. The probe's configuration is written to `file`, with the conditions of `config`.
 */
export async function probeListeners(
  executable: string,
  file: string,
  listeners: readonly Listener[],
  config: string,
  ours: (pid: number) => Promise<boolean>,
): Promise<readonly Unbindable[]> {
  if (listeners.length === 0) return [];
  try {
    await writeFile(file, probeConfig(config, listeners), { mode: 0o600 });
  } catch {
    // The code that writes the needed files reports a full disk.
    return [];
  }
  const run = await runWithin(executable, ['-db', '-f', file], { deadlineMs: probeMs, graceMs: 100 });
  await unlink(file).catch(() => undefined);
  const unbindable: Unbindable[] = [];
  for (const [index, why] of failuresIn(run.output)) {
    const listener = listeners[index];
    if (listener === undefined) continue;
    const { address, line } = listener;
    const text = await explained(listener, why, ours);
    if (text !== undefined) unbindable.push({ line, address, text: `cannot listen on ${address}: ${text}` });
  }
  return unbindable;
}

/** By the number of its frontend, why HAProxy could not bind it; once for each. */
export function failuresIn(output: string): ReadonlyMap<number, string> {
  const failures = new Map<number, string>();
  for (const line of output.split('\n')) {
    const found = /frontend probe-(\d+): (?:protocol \w+: )?cannot bind [^(]*\(([^)]*)\)/.exec(line);
    if (found?.[1] === undefined || failures.has(Number(found[1]))) continue;
    failures.set(Number(found[1]), found[2] ?? '');
  }
  return failures;
}

/** Undefined where only our own processes have the address, which HAProxy shares. */
async function explained(
  { protocol, ports }: Listener,
  why: string,
  ours: (pid: number) => Promise<boolean>,
): Promise<string | undefined> {
  if (/permission denied/i.test(why)) return `${why} (a port below 1024 takes the capability CAP_NET_BIND_SERVICE)`;
  if (!/in use/i.test(why)) return why;
  const owners = ports === undefined ? [] : await ownersOfPort(ports.first, protocol);
  if (owners.length === 0) return 'it is in use';
  for (const { pid, name } of owners) if (!(await ours(pid))) return `it is in use by ${name} (process ${pid})`;
  return undefined;
}
