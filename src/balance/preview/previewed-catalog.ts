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
  readonly standing: Pick<Standing, 'lastKnown' | 'holds'>;
  readonly settings: Pick<BalanceSettings, 'limits' | 'holding' | 'guard'>;
  /** Of the registry that is followed. */
  readonly location: string;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
  readonly logger: Logger;
  /** Told that something else counts than before. */
  readonly onChange: () => void;
};

/**
 * The catalog that the balancer of a folder has, or would begin with. What that balancer holds counts if it is of the
 * registry that is followed: compared with another registry, the folder lacks what that one lacks.
 */
export class PreviewedCatalog {
  readonly #parts: PreviewedCatalogParts;
  readonly #holder: Holder;
  #catalog: Catalog = emptyCatalog;
  /** Whether the folder is of the registry that is followed; undefined until that is known. */
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
      // Of a malformed entry a balancer goes on using what the key held before.
      if (this.#isSame && lastKnown !== undefined) this.#catalog = lastKnown.catalog;
      if (this.#isSame) this.#holder.resume(lastKnown?.point, lastKnown?.entries ?? []);
    }
    this.#holder.take(event);
  }

  /** What counts, with what is held. */
  get catalog(): Catalog {
    const { standing, settings, now } = this.#parts;
    let guard = emptyGuard(settings.guard);
    for (const hold of this.#isSame === true ? standing.holds : []) {
      const registered = this.#catalog.services.get(hold.service)?.registered;
      const instances = hold.instances.filter(({ id }) => registered?.has(id) !== true);
      if (instances.length > 0) guard = stepGuard(guard, now(), { kind: 'resume', ...hold, instances }).guard;
    }
    return guardedCatalog(this.#catalog, guard);
  }

  close(): void {
    this.#holder.close();
  }
}
