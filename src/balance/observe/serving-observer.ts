import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import type { ServiceName } from '../../model/name.ts';

/** What HAProxy does not serve as the registry asks for it. */
export type Shortfall = {
  readonly refused: readonly Refusal[];
  /** Services that are served and that no request can reach, because others have all that they ask for; each with the reason. */
  readonly unrouted: ReadonlyMap<ServiceName, string>;
};

/** Told what HAProxy serves, as it comes to serve it. */
export interface ServingObserver {
  /** HAProxy was given what was touched. */
  onApplied(dirty: DirtySet, catalog: Catalog): void;
  /** This worker of HAProxy serves this catalog, but for the shortfall; nothing more can be done for it now. */
  onServed(catalog: Catalog, shortfall: Shortfall, workerPid: number): void;
  /** Why others cannot hear what this balancer serves; undefined while they can. */
  readonly trouble: string | undefined;
}
