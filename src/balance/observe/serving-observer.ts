import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import type { ServiceName } from '../../model/name.ts';

/** Everything that HAProxy does not serve as the registry has it. */
export type Shortfall = {
  readonly unserved: readonly Refusal[];
  /** Services that no request can reach, because other services have all their routes; each with the reason. */
  readonly unrouted: ReadonlyMap<ServiceName, string>;
  /** By service, what it asks for and does not get because of other services or claims. */
  readonly conflicts: ReadonlyMap<ServiceName, string>;
};

/** Learns what HAProxy serves, after each change. */
export interface ServingObserver {
  /** A round gave HAProxy these dirty services of this catalog. */
  onApplied(dirty: DirtySet, catalog: Catalog): void;
  /** This worker serves this catalog, except for the shortfall: it names all that waits for a command or a reload. */
  onServed(catalog: Catalog, shortfall: Shortfall, workerPid: number): void;
  /** Why others cannot see what this balancer serves; undefined while they can. */
  readonly trouble: string | undefined;
}

/** An observer that calls `onApplied` first, and passes everything on to `other`. */
export function observingApplied(
  onApplied: ServingObserver['onApplied'],
  other: ServingObserver | undefined,
): ServingObserver {
  return {
    onApplied: (dirty, catalog) => {
      onApplied(dirty, catalog);
      other?.onApplied(dirty, catalog);
    },
    onServed: (...all) => other?.onServed(...all),
    get trouble() {
      return other?.trouble;
    },
  };
}

/** Whether a service changed in more than its instances. */
export const hasWholeService = (dirty: DirtySet): boolean => [...dirty.values()].some(({ whole }) => whole);
