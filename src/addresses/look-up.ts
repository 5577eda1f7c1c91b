import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { describe } from '../model/fault.ts';
import type { LookupAnswer } from './names.ts';
import { candidatesOf, parseHosts, parseSearchRules, preferIpv4 } from './system-files.ts';

export type LookUp = (name: string) => Promise<LookupAnswer>;

/** For c-ares, in ms: one try at one nameserver. */
const tries = { timeout: 1000, tries: 2 };
/** The deadline of a lookup, with all nameservers and search domains. */
const lookupMs = 3000;
// Files are read again after this, in ms.
const fileMs = 1000;
const mostAddresses = 64;

const silentCodes = ['ECONNREFUSED', 'ETIMEOUT', 'ETIME', 'ECANCELLED', 'EREFUSED'];

/**
 * Looks up names in `/etc/hosts` and then in DNS, by c-ares: the C library's getaddrinfo blocks a thread for as long as a
 * nameserver is silent, and Node.js has four of them for everything. Never rejects, and answers within 3 s.
 */
export function openLookUp(): LookUp {
  const readHosts = remembering('/etc/hosts', parseHosts);
  const readRules = remembering('/etc/resolv.conf', parseSearchRules);
  return async (name) => {
    const local = (await readHosts()).get(name) ?? (name === 'localhost' ? ['127.0.0.1'] : undefined);
    if (local !== undefined) return { kind: 'found', addresses: preferIpv4(local), ttlMs: undefined };
    // A new one each time, because it reads /etc/resolv.conf when it is made.
    const resolver = new Resolver(tries);
    const timer = setTimeout(() => resolver.cancel(), lookupMs);
    try {
      for (const candidate of candidatesOf(name, await readRules())) {
        const found = await ask(resolver, candidate);
        if (found !== undefined) return found;
      }
      return { kind: 'failed', reason: `the name ${name} has no address in DNS` };
    } catch (error) {
      return { kind: 'failed', reason: reasonOf(name, error) };
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Undefined: the name does not exist, or has no address. Rejects if no nameserver answers. */
async function ask(resolver: Resolver, name: string): Promise<LookupAnswer | undefined> {
  for (const resolve of [() => resolver.resolve4(name, { ttl: true }), () => resolver.resolve6(name, { ttl: true })]) {
    try {
      const records = (await resolve()).slice(0, mostAddresses);
      const ttlMs = Math.min(...records.map(({ ttl }) => ttl)) * 1000;
      if (records.length > 0) return { kind: 'found', addresses: records.map(({ address }) => address), ttlMs };
    } catch (error) {
      if (codeOf(error) === 'ENOTFOUND') return undefined;
      if (codeOf(error) !== 'ENODATA') throw error;
    }
  }
  return undefined;
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';

function reasonOf(name: string, error: unknown): string {
  const code = codeOf(error);
  if (silentCodes.includes(code)) return `no nameserver answers for the name ${name}`;
  if (code === 'ESERVFAIL') return `the nameserver fails for the name ${name} (SERVFAIL)`;
  return `the name ${name} cannot be resolved: ${describe(error)}`;
}

/** Reads a file at most once a second. A file that cannot be read counts as empty. */
function remembering<T>(path: string, parse: (text: string) => T): () => Promise<T> {
  let kept: { readonly at: number; readonly value: Promise<T> } | undefined;
  return () => {
    const now = performance.now();
    if (kept === undefined || now - kept.at > fileMs)
      kept = {
        at: now,
        value: readFile(path, 'utf8')
          .catch(() => '')
          .then(parse),
      };
    return kept.value;
  };
}
