import { setTimeout as pause } from 'node:timers/promises';
import { awaitFleet, isReached } from '../fleet/await-fleet.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Address } from '../model/address.ts';
import { noRevision } from '../model/revision.ts';
import { describeObstacle } from '../operate/describe-certificate.ts';
import type { Registry } from '../registry/registry.ts';
import { lookForBalancers } from './balancers.ts';
import { type Certificates, readAllCertificates } from './certificates-read.ts';

export type OrderWatch = {
  readonly host: string;
  readonly registry: Registry;
  readonly fleet: Fleet;
  /** Where a balancer of this machine may answer. */
  readonly admin: Address;
  /** The root of the tree. */
  readonly root: string | undefined;
};

/** A balancer answers again from what it found less than a second ago, in ms. */
const freshMs = 1200;
const againMs = 30_000;

/**
 * Why nobody orders a certificate for the host, so that there will be none; resolves with undefined when `signal` aborts, or when this user may
 * not read enough to know it. Never rejects. What was written just before is known to the balancers first.
 */
export async function whyNeverOrdered(watch: OrderWatch, signal: AbortSignal): Promise<string | undefined> {
  const { host, registry, fleet, admin, root } = watch;
  try {
    while (!signal.aborted) {
      await fleet.following(signal);
      const { entries: policies } = await registry.read('services/', signal);
      const revision = policies.reduce((newest, one) => (one.revision > newest ? one.revision : newest), noRevision);
      if (!isReached(await awaitFleet(fleet, { revision, keys: new Set() }, signal))) return undefined;
      await pause(freshMs, undefined, { signal });
      const query = { admin, root, findBalancers: lookForBalancers };
      const reason = neverOrdered(host, await readAllCertificates(registry, query, signal));
      if (reason !== undefined) return reason;
      await pause(againMs, undefined, { signal });
    }
  } catch {
    // Without an answer, the wait goes on.
  }
  return undefined;
}

/** The same as far as the list of certificates tells it; undefined: one may be ordered. */
export function neverOrdered(host: string, { list, isComplete }: Certificates): string | undefined {
  const listed = list.find((one) => one.host === host);
  if (listed?.source === 'folder') return describeObstacle('in-folder');
  const obstacle = listed?.state.kind === 'not-ordered' ? listed.state.why : undefined;
  // A balancer that cannot be asked from here may have --acme.
  if (obstacle !== undefined && (isComplete || obstacle !== 'no-acme')) return describeObstacle(obstacle);
  return listed === undefined && isComplete ? `no service asks for one: ${howToAsk}` : undefined;
}

const howToAsk = 'put "https": {"certificate": "auto"} into the policy of the service that has this host';
