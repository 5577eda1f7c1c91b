import { type Catalog, emptyCatalog, type Folded } from '../../catalog/catalog.ts';
import { endOverrides, foldEvent } from '../../catalog/fold-event.ts';
import { DirtySetBuilder } from '../../model/dirty-set.ts';
import type { OverrideTarget } from '../../model/override.ts';
import { acmeService } from '../../model/route-target.ts';
import type { RegistryEvent } from '../../registry/registry.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Progress } from './progress.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';
import type { Rejections } from './rejections.ts';

type IntakeParts = Pick<BalancerParts, 'guarding' | 'ejecting' | 'locating' | 'overriding' | 'limits'> & {
  readonly metrics: Pick<ReconcileMetrics, 'revisionSeen'>;
  readonly rejections: Rejections;
  readonly progress: Progress;
};

/** Folds events of the registry into the catalog, and collects the dirty services and instances. */
export class Intake {
  readonly #parts: IntakeParts;
  #catalog: Catalog = emptyCatalog;
  readonly dirty = new DirtySetBuilder();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  get catalog(): Catalog {
    return this.#catalog;
  }

  /** Replaces the empty catalog by one from disk. */
  adopt(catalog: Catalog): void {
    this.#catalog = { ...this.#parts.overriding.adopt(catalog), certified: this.#catalog.certified };
  }

  /** Returns whether the event made something dirty. */
  offer(event: RegistryEvent): boolean {
    return this.#onFolded(foldEvent(this.#catalog, event, this.#parts.limits), event.kind === 'changes');
  }
  endOverrides(targets: readonly OverrideTarget[]): boolean {
    return this.#onFolded(endOverrides(this.#catalog, targets), true);
  }

  /** HAProxy serves certificates with these names. Returns whether that made something dirty. */
  certify(names: ReadonlySet<string>): boolean {
    const { certified: before } = this.#catalog;
    const certified = before.intersect(names).union(names);
    if (certified.size === before.size && certified.isSubset(before)) return false;
    this.#catalog = { ...this.#catalog, certified };
    this.dirty.service(acmeService);
    return true;
  }

  #onFolded(fold: Folded, live: boolean): boolean {
    const { metrics, guarding, ejecting, locating, overriding, rejections, progress } = this.#parts;
    const folded = overriding.take(fold, live);
    const { catalog, dirty, changes } = folded;
    this.#catalog = catalog;
    guarding.fold(folded);
    ejecting.fold(folded);
    locating.fold(folded);
    metrics.revisionSeen.set(Number(catalog.revision));
    rejections.folded(folded);
    if (dirty.size === 0) return false;
    this.dirty.add(dirty);
    progress.onFolded(changes, live ? writtenAt(folded) : []);
    return true;
  }
}

/** When the dirty registrations were written, by the clocks of the machines that wrote them. */
function writtenAt({ catalog, dirty }: Folded): readonly number[] {
  return [...dirty].flatMap(([name, { instances }]) => {
    const registered = catalog.services.get(name)?.registered;
    return [...instances].flatMap((id) => registered?.get(id)?.writtenAt ?? []);
  });
}
