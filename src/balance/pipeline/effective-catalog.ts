import type { Catalog } from '../../catalog/catalog.ts';
import type { Service } from '../../catalog/service.ts';
import { withSplit } from '../../catalog/split.ts';
import type { ServiceName } from '../../model/name.ts';
import type { RenderProblem, Templates, Templating } from '../../render/render.ts';
import { type Quarantine, type Requested, withQuarantined } from '../quarantine/quarantine.ts';

/** The stages between the registry's catalog and the effective catalog. */
export type Stages = {
  /** Adds the instances that the registry lost and the guard keeps, with the overrides of operators. */
  readonly guarded: (overridden: Catalog) => Catalog;
  /** Gives ejected instances no requests, and those on trial few. */
  readonly ejected: (guarded: Catalog) => Catalog;
  /** Replaces host names by addresses, and leaves out the instances that have no permitted address or no open file. */
  readonly located: (ejected: Catalog) => Catalog;
  readonly quarantine: Quarantine;
  /**
   * Leaves out the instances that an address rule refuses for the last good forms of these services: `located` knows only the newest
   * policies.
   */
  readonly permitted: (quarantined: Catalog, lastGood: Iterable<ServiceName>) => Permitted;
  readonly templates: Templates;
};

type Permitted = { readonly catalog: Catalog; readonly refused: readonly RenderProblem[] };

export type EffectiveCatalog = {
  /** Also after the stage `ejected`. */
  readonly guarded: Catalog;
  /** The catalog and the templates before the quarantine changes them. */
  readonly requested: Requested;
  /** The services that pointsman renders. Rendering a service weights its instances. */
  readonly catalog: Catalog;
  readonly templating: Templating;
  /** The instances that `permitted` left out. */
  readonly refused: readonly RenderProblem[];
};

/**
 * Takes a catalog through all stages: registered, overridden, guarded, ejected, located, quarantined, permitted, weighted. The first and the last are
 * made elsewhere, so that a round costs what changed: the fold overrides an instance when it changes (`Service.registered` is the
 * instance before, `Service.instances` after), and `withSplit` weights a service when it is rendered or shown.
 */
export function effectiveCatalog(overridden: Catalog, stages: Stages): EffectiveCatalog {
  const guarded = stages.ejected(stages.guarded(overridden));
  const requested = { catalog: stages.located(guarded), templates: stages.templates };
  return { guarded, requested, ...quarantinedCatalog(requested, stages) };
}

/** The last stages: a round takes them again when it has quarantined what no template can render. */
export function quarantinedCatalog(
  requested: Requested,
  { quarantine, permitted }: Pick<Stages, 'quarantine' | 'permitted'>,
): Permitted & { readonly templating: Templating } {
  const { catalog, templating } = withQuarantined(quarantine, requested);
  return { ...permitted(catalog, templating.quarantined?.keys() ?? []), templating };
}

/** A service as people see it after the guard: all instances, including those without an address, and the policy that HAProxy serves. */
export function shownService({ catalog }: EffectiveCatalog, guarded: Service): Service {
  const policy = catalog.services.get(guarded.name)?.policy ?? guarded.policy;
  return withSplit({ ...guarded, policy });
}
