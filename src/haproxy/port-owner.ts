import { readdir, readFile, readlink } from 'node:fs/promises';

/** Those of TCP that listen, and those of UDP that are bound and not connected. */
const listening = { tcp: '0A', udp: '07' } as const;
// A machine with more processes is not searched to the end: the answer is for a message only.
const mostProcesses = 5000;

export type PortOwner = { readonly pid: number; readonly name: string };

/** Who listens on a port here, as far as /proc tells. */
export async function ownersOfPort(port: number, protocol: 'tcp' | 'udp'): Promise<readonly PortOwner[]> {
  const sockets = new Set<string>();
  for (const table of [`/proc/net/${protocol}`, `/proc/net/${protocol}6`]) {
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

/** The inodes of the sockets that listen on this port, of a table as /proc/net/tcp has it. */
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
