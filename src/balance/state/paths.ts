import { join } from 'node:path';

/** The mode of files that HAProxy's group reads. Others may not: own templates may hold passwords. */
export const configMode = 0o640;

/** The files of a balancer, all under `--dir`. */
export type BalancePaths = {
  readonly config: string;
  readonly candidate: string;
  /** The last configuration that HAProxy refused, for a person to look at. */
  readonly refused: string;
  readonly routesMap: string;
  /** What the next worker begins with, of the health of servers. */
  readonly serverStates: string;
  readonly maintenancePage: string;
  readonly pauseScript: string;
  readonly runtimeSocket: string;
  readonly masterSocket: string;
  /** On which a worker takes the requests that reach workers of before a reload. */
  readonly successorSocket: string;
  /** Holds a socket for each policy with a rate limit, by which a worker gives its counts to its successor. */
  readonly peersFolder: string;
  readonly lastKnown: string;
  /** What the mass-loss guard holds. */
  readonly holds: string;
  /** PEM files for TLS to servers. */
  readonly serverTls: string;
  /** The certificates that HAProxy serves, and the list of them. */
  readonly certificates: string;
  readonly certificateList: string;
  readonly quarantine: string;
  /** Who this balancer is among those with its id. */
  readonly owner: string;
  /** The socket by which one pointsman keeps others out of the folder. */
  readonly lock: string;
};

export function pathsOf(dir: string): BalancePaths {
  return {
    config: join(dir, 'haproxy.cfg'),
    candidate: join(dir, 'haproxy.cfg.candidate'),
    refused: join(dir, 'haproxy.cfg.refused'),
    routesMap: join(dir, 'maps', 'routes.map'),
    serverStates: join(dir, 'maps', 'server-states'),
    maintenancePage: join(dir, 'shipped', 'maintenance.html'),
    pauseScript: join(dir, 'shipped', 'pause.lua'),
    runtimeSocket: join(dir, 'run', 'haproxy.sock'),
    masterSocket: join(dir, 'run', 'master.sock'),
    successorSocket: join(dir, 'run', 'http'),
    peersFolder: join(dir, 'run'),
    lastKnown: join(dir, 'state', 'catalog.json'),
    holds: join(dir, 'state', 'holds.json'),
    serverTls: join(dir, 'server-tls'),
    certificates: join(dir, 'certificates'),
    certificateList: join(dir, 'certificates', 'list'),
    quarantine: join(dir, 'state', 'quarantine.json'),
    owner: join(dir, 'state', 'owner'),
    lock: join(dir, 'run', 'lock'),
  };
}
