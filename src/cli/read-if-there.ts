import { Fault } from '../model/fault.ts';
import type { Revision } from '../model/revision.ts';
import type { Entry, Registry } from '../registry/registry.ts';

type Read = {
  readonly revision: Revision | undefined;
  /** Tells this registry from another; undefined while it cannot be read. */
  readonly cluster: string | undefined;
  readonly entries: readonly Entry[];
  /** Why the registry could not be read; there are no entries then. */
  readonly fault: Fault | undefined;
};

// Much less than others wait for it: while it is away an operator looks here first, and a balancer can tell the rest.
const readMs = 3000;

/** The entries under the prefix, for commands that can go on without them. Rejects with a Fault when the registry answers and refuses. */
export async function readIfThere(registry: Registry, prefix: string): Promise<Read> {
  try {
    return { ...(await registry.read(prefix, AbortSignal.timeout(readMs))), fault: undefined };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'registry-unreachable') throw error;
    return { revision: undefined, cluster: undefined, entries: [], fault: error };
  }
}
