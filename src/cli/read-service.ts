import { Fault } from '../model/fault.ts';
import { serviceOfKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import { didYouMean } from '../model/nearest.ts';
import type { Revision } from '../model/revision.ts';
import type { Entry, Registry } from '../registry/registry.ts';
import { timeLimit } from '../waiting/time-limit.ts';

type Read = {
  readonly revision: Revision | undefined;
  /** Tells this registry from another; undefined while it cannot be read. */
  readonly cluster: string | undefined;
  readonly entries: readonly Entry[];
  /** Why the registry could not be read; there are no entries then. */
  readonly fault: Fault | undefined;
};

// Much less than other waits for the registry: while it is unavailable an operator looks here first, and a balancer knows the rest.
const readMs = 3000;

/** The entries under the prefix, for commands that can go on without them. Rejects with a Fault when the registry answers and refuses. */
export async function readIfThere(registry: Registry, prefix: string): Promise<Read> {
  try {
    return { ...(await registry.read(prefix, timeLimit(readMs))), fault: undefined };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'registry-unreachable') throw error;
    return { revision: undefined, cluster: undefined, entries: [], fault: error };
  }
}

/** Fault `not-found` for a service without a policy and instances, with the name that was probably meant. */
export async function unknownService(registry: Registry, service: ServiceName, hint?: string): Promise<Fault> {
  const listings = await Promise.all(['instances/', 'services/'].map((prefix) => readIfThere(registry, prefix)));
  const names = new Set(listings.flatMap(({ entries }) => entries.map(({ key }) => serviceOfKey(key) ?? '')));
  const hints = [didYouMean(service, names), hint].filter((one) => one !== undefined);
  return new Fault('not-found', `no service ${service} is known`, {
    hint: hints.length === 0 ? 'pointsman status shows those that are' : hints.join(' '),
  });
}
