import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { forgottenServices } from '../../catalog/remembering.ts';
import { type Acknowledgement, listFairly, type Refusal } from '../../fleet/acknowledgement.ts';
import type { Reached, Served } from './acknowledgement-state.ts';
import type { Draining } from './draining.ts';

export type AcknowledgementSources = {
  readonly about: () => Pick<Acknowledgement, 'version' | 'haproxyVersion' | 'admin'>;
  /** Names the configuration: see Acknowledgement. */
  readonly config: () => string;
  readonly draining: Pick<Draining, 'counts'>;
  /** Servers that get no requests because they have not passed a check yet. */
  readonly unproven: () => Acknowledgement['unproven'];
  /** Instances that the registry lost and the guard keeps. */
  readonly guarded: () => readonly Refusal[];
  /** Certificates of the registry that HAProxy does not serve. */
  readonly certificates: () => readonly Refusal[];
  /** Held entries. There may be many. */
  readonly heldEntries: () => readonly Refusal[];
};

/** Makes acknowledgements, without their time. */
export function acknowledgementComposer(
  sources: AcknowledgementSources & { readonly owner: string },
): (reached: Reached, served: Pick<Served, 'catalog' | 'shortfall'>) => Acknowledgement {
  // Sorted again only when they change: there may be 10,000.
  let sorted = emptyCatalog.rejected;
  let rejected: readonly Refusal[] = [];
  return ({ revision, cluster }, { catalog, shortfall }) => {
    const { owner, about, config, draining, unproven, guarded, certificates, heldEntries } = sources;
    if (catalog.rejected !== sorted) {
      sorted = catalog.rejected;
      rejected = newestRejected(catalog);
    }
    const { refusals, untold } = listFairly([
      ...shortfall.unserved,
      ...guarded(),
      ...certificates(),
      ...rejected,
      ...heldEntries(),
    ]);
    // The catalog itself does not remember all of these.
    const forgotten = forgottenServices(catalog).map((service) => [service, (untold.get(service) ?? 0) + 1] as const);
    return {
      ...about(),
      revision,
      cluster,
      owner,
      config: config(),
      appliedAt: '',
      draining: draining.counts,
      unproven: unproven(),
      unrouted: shortfall.unrouted,
      conflicts: shortfall.conflicts,
      refusals,
      untold: new Map([...untold, ...forgotten]),
      unlisted: new Map(),
    };
  };
}

/** The newest first: a client that waits has written its entry a moment ago. */
function newestRejected({ rejected }: Catalog): readonly Refusal[] {
  const newestFirst = [...rejected.values()].sort((a, b) => (a.revision < b.revision ? 1 : -1));
  return newestFirst.map(({ key, reason, lastGoodServes }) => ({
    ...{ key, reason, absent: !lastGoodServes, final: true },
  }));
}
