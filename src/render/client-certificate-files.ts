import { join } from 'node:path';

/** The list of the hosts that ask clients for a certificate, for `crt-list`. */
export const clientListFile = (folder: string): string => join(folder, 'list');
/** The map of these hosts: with whose certificates the list was made that HAProxy loaded. */
export const clientHostsFile = (folder: string): string => join(folder, 'hosts.map');
