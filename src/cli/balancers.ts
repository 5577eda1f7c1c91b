import * as v from 'valibot';
import type { Acknowledgement } from '../fleet/acknowledgement.ts';
import { balancersOf } from '../fleet/fleet-view.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { describe } from '../model/fault.ts';
import type { Parsed } from '../model/parsed.ts';
import type { Entry } from '../registry/registry.ts';

/** A balancer of the fleet, and where it can be asked. */
export type KnownBalancer = {
  readonly id: string;
  /** What it says in the registry; undefined for one that the registry does not know. */
  readonly says: Parsed<Acknowledgement> | undefined;
  /** Where its admin port answers; or why it does not. */
  readonly admin: { readonly at: string } | { readonly reason: string };
};

const askMs = 2000;
const identity = v.object({ id: v.string() });

/** Asks a balancer's admin port. Rejects when it does not answer in time, or not with 200. */
export async function askAdmin(at: string, path: string): Promise<unknown> {
  const answer = await fetch(`http://${at}${path}`, { signal: AbortSignal.timeout(askMs) });
  if (!answer.ok) throw new Error(`it answered ${answer.status}: ${(await answer.text()).trim().slice(0, 200)}`);
  return answer.json();
}

/**
 * The balancers that the registry knows, and one on this machine, each asked who it is: an address may be another's by now.
 * `entries` are those under `balancers/`.
 */
export async function findBalancers(entries: readonly Entry[], local: Address): Promise<readonly KnownBalancer[]> {
  const balancers = balancersOf(entries);
  const here = formatAddress(local);
  const localId = await whoIs(here).catch(() => undefined);
  const known = await Promise.all(
    [...balancers].map(async ([id, says]): Promise<KnownBalancer> => {
      if (id === localId) return { id, says, admin: { at: here } };
      const at = says.ok ? says.value.admin : undefined;
      if (at === undefined) {
        return { id, says, admin: { reason: 'its admin port is for its own machine only (--admin)' } };
      }
      try {
        const answers = await whoIs(at);
        if (answers !== id) return { id, says, admin: { reason: `at ${at} answers ${answers}` } };
        return { id, says, admin: { at } };
      } catch (error) {
        return { id, says, admin: { reason: `${at} does not answer: ${describe(error)}` } };
      }
    }),
  );
  const unheard: readonly KnownBalancer[] =
    localId === undefined || balancers.has(localId) ? [] : [{ id: localId, says: undefined, admin: { at: here } }];
  return [...known, ...unheard].sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function whoIs(at: string): Promise<string> {
  return v.parse(identity, await askAdmin(at, '/status')).id;
}
