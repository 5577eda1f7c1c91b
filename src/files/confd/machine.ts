import { lookup, resolveSrv } from 'node:dns/promises';
import { existsSync, readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import type { ConfdHost } from './functions.ts';
import type { Resolver } from './lookups.ts';
import { type Environment, givenEnvironment, rawEnvironment } from './raw-environment.ts';
import { localZone } from './zone.ts';

/** The machine as confd's functions ask it. */
export type ConfdMachine = Pick<ConfdHost, 'now' | 'zone' | 'fileExists' | 'interfaceAddresses' | 'hostname'> & {
  readonly resolver: Resolver;
  /** The environment with the bytes that are not UTF-8. */
  readonly rawEnvironment: (env: Environment) => Environment;
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

/** The bytes of a file, a character each; undefined when it cannot be read. */
function readBytes(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

/** Node knows the time in milliseconds. */
const now = () => ({
  unix: BigInt(Date.now()) * 1_000_000n,
  monotonic: BigInt(Math.round(process.uptime() * 1e9)),
});

/** Runs `make` when it is first asked. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

export const thisMachine: ConfdMachine = {
  rawEnvironment: (env) => rawEnvironment(env, givenEnvironment),
  now,
  zone: once(() => localZone(process.env['TZ'], readBytes)),
  fileExists: (path) => existsSync(Buffer.from(path, 'latin1')),
  hostname,
  interfaceAddresses: (name) => (networkInterfaces()[name] ?? []).map(({ address }) => address.replace(/%.*$/, '')),
  readFile: readBytes,
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
