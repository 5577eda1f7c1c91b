import { lookup, resolveSrv } from 'node:dns/promises';
import { existsSync, readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import type { ConfdHost } from './functions.ts';
import type { Resolver } from './lookups.ts';

/** The machine as confd's functions ask it. */
export type ConfdMachine = Pick<ConfdHost, 'now' | 'fileExists' | 'interfaceAddresses' | 'hostname'> & {
  readonly resolver: Resolver;
  /** The bytes of a file, a character each; undefined when it cannot be read. */
  readonly readFile: (path: string) => string | undefined;
};

/** How long a name server may take, in ms. */
const lookupMs = 5000;

/** The answer, or an empty list when there is none in time: confd does not tell one from the other either. */
async function answered<T>(asked: Promise<readonly T[]>): Promise<readonly T[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly T[]>((resolve) => {
    timer = setTimeout(() => resolve([]), lookupMs);
  });
  try {
    return await Promise.race([asked, late]);
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}

export const thisMachine: ConfdMachine = {
  now: () => new Date(),
  fileExists: existsSync,
  hostname,
  interfaceAddresses: (name) => (networkInterfaces()[name] ?? []).map(({ address }) => address.replace(/%.*$/, '')),
  readFile: (path) => {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return undefined;
    }
  },
  resolver: {
    addressesOf: async (name) => {
      const found = await answered(lookup(name, { all: true }));
      return [...new Set(found.map(({ address }) => address))];
    },
    servicesOf: async (name) => {
      const found = await answered(resolveSrv(name));
      // Go gives the whole name of a target, with the dot at its end.
      return found.map(({ name: target, ...rest }) => ({ ...rest, target: `${target}.` }));
    },
  },
};
