import { unlink, writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import type { CheckProblem } from './check.ts';
import { apart } from './child.ts';
import type { Listener } from './listeners.ts';
import { ownerOfPort } from './port-owner.ts';

/** What to do where HAProxy may not bind a port. */
export const noRightHint =
  'ports below 1024 need the right to: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or --http with a higher port';

/** An address that HAProxy cannot listen on, with the reason. */
export type Unbindable = CheckProblem & { readonly line: number; readonly address: string };

// HAProxy needs 30 ms for it.
const probeMs = 5000;
// A path that nothing can be made at, so that this HAProxy never gets to serving.
const never = 'unix@/dev/null/never';
const head = 'global\n    maxconn 16\n';
const sections = 'defaults\n    mode tcp\n    timeout client 1s\n    timeout connect 1s\n    timeout server 1s\n';

/**
 * Finds which of these addresses HAProxy could not listen on now. `haproxy -c` does not see that, and a reload that fails on
 * it makes the old worker refuse connections for 2 s. So HAProxy itself is started on nothing but these listeners and one
 * that cannot be had: it tries all of them with its own rights and options, names those that fail, and ends. Empty too
 * when it cannot be asked. The probe's configuration is written to `file`.
 */
export async function probeListeners(
  executable: string,
  file: string,
  listeners: readonly Listener[],
  config: string,
): Promise<readonly Unbindable[]> {
  if (listeners.length === 0) return [];
  const alone = /^\s*noreuseport\s*$/m.test(config) ? '    noreuseport\n' : '';
  const frontends = [...listeners.map(({ bind }) => bind), `bind ${never}`];
  const text = `${head}${alone}${sections}${frontends.map((bind, i) => `frontend probe-${i}\n    ${bind}\n`).join('')}`;
  try {
    await writeFile(file, text, { mode: 0o600 });
  } catch {
    // The disk is told of by those who write what is needed.
    return [];
  }
  const run = await execa(executable, ['-db', '-f', file], {
    ...apart,
    reject: false,
    timeout: probeMs,
    forceKillAfterDelay: 100,
    stdin: 'ignore',
    all: true,
  });
  await unlink(file).catch(() => undefined);
  const unbindable: Unbindable[] = [];
  for (const [index, why] of failuresIn(run.all ?? '')) {
    const listener = listeners[index];
    if (listener === undefined) continue;
    const { address, line } = listener;
    unbindable.push({ line, address, text: `cannot listen on ${address}: ${await explained(address, why)}` });
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

async function explained(address: string, why: string): Promise<string> {
  if (/permission denied/i.test(why)) return `${why} (a port below 1024 takes the capability CAP_NET_BIND_SERVICE)`;
  if (!/in use/i.test(why)) return why;
  const port = Number(/:(\d+)$/.exec(address)?.[1]);
  const owner = Number.isInteger(port) ? await ownerOfPort(port) : undefined;
  return owner === undefined ? 'it is in use' : `it is in use by ${owner}`;
}
