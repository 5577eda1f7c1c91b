import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLoopback } from '../model/address.ts';
import { certificateNames, isFor } from '../model/certificate.ts';
import { describe } from '../model/fault.ts';
import { isExact } from '../model/route.ts';
import { describeObstacle } from '../operate/describe-certificate.ts';
import type { CertificateHost } from '../render/certificate-hosts.ts';
import type { BalanceSettings } from '../settings/balance.ts';

/** Finds the addresses of a host; rejects when DNS has none. */
export type LookupHost = (host: string) => Promise<unknown>;

const mostLookups = 50;
const mostNamed = 5;

/**
 * Which certificates a balancer with these settings would order, and why that cannot work, a note each. `lookup`: undefined where DNS is not
 * to be asked.
 */
export async function certificateNotes(
  { acme, https, http }: Pick<BalanceSettings, 'acme' | 'https' | 'http'>,
  asking: readonly CertificateHost[],
  lookup: LookupHost | undefined,
): Promise<readonly string[]> {
  if (asking.length === 0) return [];
  const folder = https?.certificates === undefined ? [] : await namesIn(https.certificates);
  const hosts = asking.map(({ host, obstacle }) => ({ host, obstacle: isFor(folder, host) ? 'in-folder' : obstacle }));
  const without = hosts.filter(({ obstacle }) => obstacle === 'no-acme').map(({ host }) => host);
  if (acme === undefined) {
    return without.length === 0 ? [] : [`no certificate would be ordered for ${listed(without)}: --acme is not set`];
  }
  const ordered = hosts.filter(({ obstacle }) => obstacle === undefined).map(({ host }) => host);
  const notes = hosts.flatMap(({ host, obstacle }) =>
    obstacle === undefined || obstacle === 'in-folder'
      ? []
      : [`${host} gets no certificate: ${describeObstacle(obstacle)}`],
  );
  if (ordered.length === 0) return notes;
  notes.push(`certificates would be ordered for ${listed(ordered)}`);
  if (acme.challenge === 'http-01' && (http.port !== 80 || isLoopback(http))) {
    const here = isLoopback(http) ? 'an address of this machine only' : `port ${http.port}`;
    notes.push(`the authority asks port 80 of each host, and --http is ${here}: port 80 must lead there`);
  }
  return lookup === undefined ? notes : [...notes, ...(await unknownToDns(ordered, lookup))];
}

/** The hosts without an address. A name for DNS-01 need not have one. */
async function unknownToDns(hosts: readonly string[], lookup: LookupHost): Promise<readonly string[]> {
  const asked = hosts.filter(isExact).slice(0, mostLookups);
  const notes = await Promise.all(
    asked.map((host) =>
      lookup(host).then(
        () => undefined,
        (error: unknown) => `${host} has no address in DNS, so the authority cannot ask it: ${describe(error)}`,
      ),
    ),
  );
  return notes.filter((note) => note !== undefined);
}

/** The names in the certificates of a folder. A check says elsewhere what is wrong with the folder. */
async function namesIn(folder: string): Promise<readonly string[]> {
  const files = await readdir(folder).catch(() => []);
  const texts = await Promise.all(
    files
      .filter((name) => /\.(pem|crt)$/.test(name))
      .map((name) => readFile(join(folder, name), 'utf8').catch(() => '')),
  );
  return texts.flatMap(certificateNames);
}

function listed(hosts: readonly string[]): string {
  const more = hosts.length - mostNamed;
  const named = hosts.slice(0, mostNamed).join(', ');
  return more > 0 ? `${named} and ${more} more` : named;
}
