import { readdir, readFile, readlink, unlink, writeFile } from 'node:fs/promises';
import { Fault } from '../model/fault.ts';
import type { ValidationProblem } from './check.ts';
import type { Listener } from './listeners.ts';
import { runWithin } from './processes.ts';

/** The hint for a port that HAProxy may not bind. */
export const noRightHint =
  'a port below 1024 needs a capability: set AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or choose a higher port with --http';

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
  if (/permission denied/i.test(why)) return `${why} (a port below 1024 needs the capability CAP_NET_BIND_SERVICE)`;
  if (!/in use/i.test(why)) return why;
  const owners = ports === undefined ? [] : await ownersOfPort(ports.first, protocol);
  if (owners.length === 0) return 'it is in use';
  for (const { pid, name } of owners) if (!(await ours(pid))) return `it is in use by ${name} (process ${pid})`;
  return undefined;
}

// A path that nothing can be made at, so that this HAProxy never gets to serving.
const never = 'unix@/dev/null/never';
const sections = [
  'defaults',
  '    mode tcp',
  '    timeout client 1s',
  '    timeout connect 1s',
  '    timeout server 1s',
];
const condition = /^\s*\.(if|elif|else|endif)\b/;
const environment = /^\s*(setenv|presetenv|resetenv|unsetenv)\s/;

/**
 * A configuration that listens on nothing but these, each in a section `probe-N`, and on one address that cannot be had. They
 * stay within the conditions that they have in their own configuration, for only HAProxy knows which of them hold.
 */
export function probeConfig(config: string, listeners: readonly Listener[]): string {
  const byLine = new Map<number, string[]>();
  for (const [number, listener] of listeners.entries()) {
    byLine.set(listener.line, [...(byLine.get(listener.line) ?? []), ...sectionOf(number, listener)]);
  }
  const lines = ['global', '    maxconn 16', '    noreuseport', ...sections];
  for (const [i, text] of config.split('\n').entries()) {
    if (condition.test(text)) lines.push(text);
    else if (environment.test(text)) lines.push('global', text);
    lines.push(...(byLine.get(i + 1) ?? []));
  }
  return [...lines, 'frontend probe-never', `    bind ${never}`, ''].join('\n');
}

function sectionOf(number: number, { protocol, address, options }: Listener): readonly string[] {
  if (protocol === 'tcp') return [`frontend probe-${number}`, `    bind ${address} ${options}`.trimEnd()];
  // QUIC needs certificates, and its socket is one like any other of UDP.
  const udp = address.replace(/^quic/, 'udp');
  return [`log-forward probe-${number}`, `    dgram-bind ${udp} ${options}`.trimEnd(), '    log 127.0.0.1:9 local0'];
}

/** Those of TCP that listen, and those of UDP that are bound and not connected. */
const listening = { tcp: '0A', udp: '07' } as const;
// A machine with more processes is not searched to the end: the answer is for a message only.
const mostProcesses = 5000;

type PortOwner = { readonly pid: number; readonly name: string };

/** The processes that listen on a port of this machine, as far as /proc shows. */
export async function ownersOfPort(port: number, protocol: 'tcp' | 'udp'): Promise<readonly PortOwner[]> {
  const sockets = new Set<string>();
  // Not /proc/net: the shipped systemd unit sees nothing of /proc but processes.
  for (const table of [`/proc/self/net/${protocol}`, `/proc/self/net/${protocol}6`]) {
    const text = await readFile(table, 'latin1').catch(() => '');
    for (const inode of listeningSockets(text, port, protocol)) sockets.add(`socket:[${inode}]`);
  }
  if (sockets.size === 0) return [];
  const owners: PortOwner[] = [];
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, mostProcesses)) {
    if (!(await hasOneOf(pid, sockets))) continue;
    const command = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
    owners.push({ pid: Number(pid), name: printable(command) });
  }
  return owners;
}

/** The inodes of the sockets that listen on this port, of a table as /proc/self/net/tcp has it. */
export function listeningSockets(table: string, port: number, protocol: 'tcp' | 'udp'): readonly string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
    return local.endsWith(wanted) && state === listening[protocol] && inode !== undefined ? [inode] : [];
  });
}

async function hasOneOf(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  // Those of other users cannot be read.
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    if (sockets.has(target)) return true;
  }
  return false;
}

/** A process names itself, so it may name itself anything. */
const printable = (name: string): string => name.replaceAll(/[^\x20-\x7e]/g, '?') || 'a process';

/** The Fault of a start that failed, by the last lines that HAProxy wrote. */
export function startFault(lastLines: readonly string[], configFile: string): Fault {
  const text = lastLines.join('\n');
  const bind = /cannot bind (?:socket|UNIX socket).*?\[([^\]]+)\](?:.*)$/im.exec(text);
  if (bind?.[1] !== undefined && /in use/i.test(text)) {
    return new Fault('address-in-use', `HAProxy cannot listen on ${bind[1]}: it is in use`, {
      hint: 'stop the program that listens there (ss -ltnp shows it), or choose another address with --http',
    });
  }
  if (bind?.[1] !== undefined && /permission denied/i.test(text)) {
    return new Fault('haproxy-start', `HAProxy has no permission to listen on ${bind[1]}`, { hint: noRightHint });
  }
  const alert = lastLines.findLast((line) => line.includes('[ALERT]')) ?? lastLines.at(-1) ?? '';
  return new Fault('haproxy-start', `HAProxy did not start: ${alert.trim()}`, { where: configFile });
}
