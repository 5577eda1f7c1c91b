import { join } from 'node:path';

/** The number of files of public keys that each configuration names. HAProxy reads such a file when it loads a configuration. */
export const keySlots = 32;

export const slotFile = (folder: string, slot: number): string => join(folder, `${slot}.pem`);
