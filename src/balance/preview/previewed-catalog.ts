import type { Logger } from 'pino';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { applicationOf, mayHoldOwn } from '../../registry/holding/areas.ts';
import { Holder } from '../../registry/holding/holder.ts';
import type { RegistryEvent } from '../../registry/registry.ts';
import type { BalanceSettings } from '../../settings/balance.ts';
import { emptyGuard, stepGuard } from '../guard/guard.ts';
import { guardedCatalog } from '../guard/losses.ts';
import { isOfRegistry } from '../state/last-known.ts';
import type { Standing } from './preview.ts';

type PreviewedCatalogParts = {
  readonly standing: Pick<Standing, 'lastKnown' | 'guarded'>;
  readonly settings: Pick<BalanceSettings, 'limits' | 'holding' | 'guard'>;
  readonly location: string;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
  readonly logger: Logger;
  readonly onChange: () => void;
};

/**
 * The catalog that the balancer of a folder has, or would begin with. Its held entries and guarded instances count only if the folder
 * belongs to the followed registry: another registry misses other entries.
 */
export class PreviewedCatalog {
  readonly #parts: PreviewedCatalogParts;
  readonly #holder: Holder;
  #catalog: Catalog = emptyCatalog;
  /** Whether the folder belongs to the followed registry; undefined until the first snapshot. */
  #isSame: boolean | undefined;

  constructor(parts: PreviewedCatalogParts) {
    this.#parts = parts;
    const { settings, now, wall, logger, onChange } = parts;
    const { holding, guard, limits } = settings;
    this.#holder = new Holder({
      policy: {
        holdMs: holding.holdMs,
        deletions: { ...holding, minimum: guard.minimum, windowMs: guard.windowMs },
        mayHold: mayHoldOwn,
        standsFor: applicationOf,
      },
      what: 'the registry',
      ...{ logger, now, wall },
      onEvent: (event) => {
        const folded = foldEvent(this.#catalog, event, limits);
        this.#catalog = folded.catalog;
        if (folded.dirty.size > 0) onChange();
      },
    });
  }

  take(event: RegistryEvent): void {
    const { lastKnown } = this.#parts.standing;
    if (event.kind === 'snapshot' && this.#isSame === undefined) {
      const { location } = this.#parts;
      this.#isSame = lastKnown !== undefined && isOfRegistry(lastKnown, { location, cluster: event.cluster });
      // The balancer of the folder goes on with the earlier value of an entry that is malformed now.
      if (this.#isSame && lastKnown !== undefined) this.#catalog = lastKnown.catalog;
      if (this.#isSame) this.#holder.resume(lastKnown?.point, lastKnown?.entries ?? []);
    }
    this.#holder.take(event);
  }

  /** The catalog with held entries and overrides. */
  get catalog(): Catalog {
    return this.#catalog;
  }

  /** The stage `guarded` of the effective catalog. */
  guarded(catalog: Catalog): Catalog {
    const { standing, settings, now } = this.#parts;
    let guard = emptyGuard(settings.guard);
    for (const guarded of this.#isSame === true ? standing.guarded : []) {
      const registered = catalog.services.get(guarded.service)?.registered;
      const instances = guarded.instances.filter(({ id }) => registered?.has(id) !== true);
      if (instances.length > 0) guard = stepGuard(guard, now(), { kind: 'resume', ...guarded, instances }).guard;
    }
    return guardedCatalog(catalog, guard);
  }

  close(): void {
    this.#holder.close();
  }
}
