import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { holderOf } from '../balance/state/folder-lock.ts';
import { pathsOf } from '../balance/state/paths.ts';
import { absentAddresses } from '../haproxy/absent-addresses.ts';
import { ownersOfPort, probeListeners } from '../haproxy/bind-probe.ts';
import { listenersIn, toBeTried } from '../haproxy/listeners.ts';
import { readProcesses } from '../haproxy/master.ts';
import { hasInCommand } from '../haproxy/processes.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { errorCode, Fault } from '../model/fault.ts';
import type { BalanceSettings } from '../settings/balance.ts';

const answerMs = 2000;
const hint = 'end what listens there (ss -ltnp shows it), or choose another address';

/**
 * The addresses that a balancer with these settings could not listen on here and now. The addresses that the running balancer of the
 * folder and its HAProxy have count as free, because a balancer that replaces it takes them over. `config` is a configuration for
 * HAProxy by the settings; undefined when HAProxy was not asked.
 */
export async function listeningFaults(
  { dir, admin, haproxy }: BalanceSettings,
  executable: string | undefined,
  config: string | undefined,
): Promise<readonly Fault[]> {
  const faults = await adminFaults(admin, dir);
  if (haproxy.mode !== 'managed' || executable === undefined || config === undefined) return faults;
  const { config: file, masterSocket } = pathsOf(dir);
  const running = await readProcesses(masterSocket, answerMs);
  const loaded = running === undefined ? '' : await readFile(file, 'utf8').catch(() => '');
  const [wanted = [], has = []] = [config, loaded].map((text) => listenersIn(text, hostname()));
  const ours = (pid: number) => hasInCommand(pid, file);
  const folder = await mkdtemp(join(tmpdir(), 'pointsman-listen-'));
  try {
    const absent = await absentAddresses(wanted, has);
    const tried = toBeTried(wanted, has).filter(({ address }) => !absent.some((one) => one.address === address));
    const unbindable = [...absent, ...(await probeListeners(executable, join(folder, 'probe'), tried, config, ours))];
    return [...faults, ...unbindable.map(({ text }) => new Fault('address-in-use', `HAProxy ${text}`, { hint }))];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function adminFaults(admin: Address, dir: string): Promise<readonly Fault[]> {
  const error = await listen(admin);
  if (error === undefined) return [];
  const holder = await holderOf(pathsOf(dir).lock);
  const isInUse = errorCode(error) === 'EADDRINUSE';
  if (isInUse && (await ownersOfPort(admin.port, 'tcp')).some(({ pid }) => pid === holder?.pid)) return [];
  const why = isInUse ? 'it is in use' : error.message;
  return [
    new Fault('address-in-use', `pointsman cannot listen on ${formatAddress(admin)}: ${why}`, {
      where: '--admin',
      hint,
    }),
  ];
}

/** Why nothing can listen there; undefined when something can. */
function listen({ host, port }: Address): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port }, () => server.close(() => resolve(undefined)));
  });
}
