import { dirname, join } from 'node:path';
import { makeFolder } from '../../fs/make-folder.ts';
import { describe, Fault } from '../../model/fault.ts';
import { hintForUnwritable } from './unwritable.ts';

/** The mode of files that HAProxy's group reads. Others may not: own templates may hold passwords. */
export const configMode = 0o640;

export type BalancePaths = Readonly<ReturnType<typeof pathsOf>>;

/** The files of a balancer, all under `--dir`. */
export function pathsOf(dir: string) {
  return {
    config: join(dir, 'haproxy.cfg'),
    candidate: join(dir, 'haproxy.cfg.candidate'),
    /** The last configuration that HAProxy refused, for people. */
    refused: join(dir, 'haproxy.cfg.refused'),
    routesMap: join(dir, 'maps', 'routes.map'),
    /** How many requests one request counts as, for limits of the whole fleet. */
    ratesMap: join(dir, 'maps', 'rates.map'),
    /** The health of servers, which the next worker reads when it starts. */
    serverStates: join(dir, 'maps', 'server-states'),
    maintenancePage: join(dir, 'shipped', 'maintenance.html'),
    pauseScript: join(dir, 'shipped', 'pause.lua'),
    matchScript: join(dir, 'shipped', 'match.lua'),
    forwardAuthScript: join(dir, 'shipped', 'forward-auth.lua'),
    runtimeSocket: join(dir, 'run', 'haproxy.sock'),
    masterSocket: join(dir, 'run', 'master.sock'),
    /** The newest worker takes the requests here that older workers pass on. */
    successorSocket: join(dir, 'run', 'http'),
    /** HAProxy takes the questions of forward authentication here. */
    forwardAuthSocket: join(dir, 'run', 'auth'),
    /** Has a socket for each policy with a rate limit: a worker gives its counts to its successor there. */
    peersFolder: join(dir, 'run'),
    lastKnown: join(dir, 'state', 'catalog.json'),
    /** The instances that the guard keeps. */
    holds: join(dir, 'state', 'holds.json'),
    /** PEM files for TLS to servers. */
    serverTls: join(dir, 'server-tls'),
    /** Files of users and keys. */
    secrets: join(dir, 'secrets'),
    /** What HAProxy verifies passwords and tokens with, and its public keys. */
    authMap: join(dir, 'maps', 'auth.map'),
    authKeys: join(dir, 'maps', 'auth-keys'),
    /** What HAProxy verifies certificates of clients with. */
    clientCertificates: join(dir, 'client-certificates'),
    /** The last keys that were fetched from each address. */
    fetchedKeys: join(dir, 'state', 'fetched-keys'),
    /** The pages that policies name for errors. */
    errorPages: join(dir, 'error-pages'),
    /** Their copies, which HAProxy reads. */
    errorPageCopies: join(dir, 'shipped', 'error-pages'),
    /** The certificates that HAProxy serves, and the list of them. */
    certificates: join(dir, 'certificates'),
    certificateList: join(dir, 'certificates', 'list'),
    quarantine: join(dir, 'state', 'quarantine.json'),
    /** Distinguishes this balancer from others with its id. */
    owner: join(dir, 'state', 'owner'),
    /** The socket that keeps other pointsmen out of the folder. */
    lock: join(dir, 'run', 'lock'),
  };
}

/** Makes the folders that do not exist. Rejects with Fault `storage`. */
export async function makeFolders({ config, routesMap, runtimeSocket, lastKnown }: BalancePaths): Promise<void> {
  // A user of the sockets has full control of HAProxy, and the last known catalog describes a whole fleet.
  const own = [runtimeSocket, lastKnown];
  for (const path of [config, routesMap, ...own]) {
    try {
      await makeFolder(dirname(path), own.includes(path) ? 0o700 : 0o755);
    } catch (cause) {
      throw new Fault('storage', `the folder cannot be created: ${describe(cause)}`, {
        where: dirname(path),
        hint: await hintForUnwritable(dirname(path), cause),
        cause,
      });
    }
  }
}
