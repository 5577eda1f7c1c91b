import type { Catalog } from '../../catalog/catalog.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { Fault } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import { Sweep } from '../../model/sweep.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import { describePace } from '../../render/check-pace.ts';
import {
  type RenderResult,
  renderAll,
  renderDirty,
  type Templates,
  withoutUnusedPolicies,
} from '../../render/render.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import { noRoutes } from '../../render/routes.ts';
import type { Locating } from '../addresses/locating.ts';
import type { Ejecting } from '../ejection/ejecting.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import {
  type EffectiveCatalog,
  effectiveCatalog,
  quarantinedCatalog,
  type Stages,
} from '../pipeline/effective-catalog.ts';
import type { RefusedBuild } from '../quarantine/candidates.ts';
import { type Requested, withQuarantined, withQuarantinedInstances } from '../quarantine/quarantine.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';
import type { Rejections } from './rejections.ts';

type RenderingParts = {
  readonly templates: Templates;
  readonly baseSettings: BaseSettings;
  readonly quarantining: Pick<
    Quarantining,
    'state' | 'review' | 'quarantineUnusable' | 'quarantineUnrendered' | 'refusedTemplate' | 'rendered'
  >;
  readonly guarding: Pick<Guarding, 'guarded' | 'holding'>;
  readonly ejecting: Pick<Ejecting, 'ejected'>;
  readonly locating: Pick<Locating, 'located' | 'permitted'>;
  readonly openFiles: Pick<OpenFilesLimit, 'limited' | 'moved' | 'baseChanged'>;
  readonly metrics: Pick<ReconcileMetrics, 'services'>;
  readonly rejections: Pick<Rejections, 'rendered' | 'conflicting'>;
};

/** Makes the desired state of the catalog: with guarded instances, addresses for names, and last good forms. */
export class Rendering {
  readonly #parts: RenderingParts;
  #templates: Templates;
  #desired: Rendered = nothingRendered;
  #mustRenderAll = false;
  readonly #sweep = new Sweep();
  /** Services whose health checks are further apart than their policies say, each with the reason. */
  readonly #paced = new Map<ServiceName, string>();

  constructor(parts: RenderingParts) {
    this.#parts = parts;
    this.#templates = parts.templates;
  }

  get templates(): Templates {
    return this.#templates;
  }

  get desired(): Rendered {
    return this.#desired;
  }

  /** Why health checks of services are further apart than their policies say; undefined when none are. */
  get checkTrouble(): string | undefined {
    if (this.#paced.size === 0) return undefined;
    const [first = ''] = [...this.#paced].map(([name, reason]) => `${name}: ${reason}`);
    return this.#paced.size === 1 ? first : `${first}; and ${this.#paced.size - 1} more services`;
  }

  /** Begins with the state that an earlier run rendered. */
  begin(before: Rendered): void {
    this.#desired = before;
    this.#mustRenderAll = true;
  }

  useTemplates(templates: Templates): void {
    this.#templates = templates;
    this.#mustRenderAll = true;
  }

  effective(catalog: Catalog): EffectiveCatalog {
    const { guarding, ejecting, locating, openFiles } = this.#parts;
    // Each instance has an entry, except guarded ones.
    const bound = guarding.holding ? Number.POSITIVE_INFINITY : catalog.accepted.size;
    return effectiveCatalog(catalog, {
      guarded: (overridden) => guarding.guarded(overridden),
      ejected: (guarded) => ejecting.ejected(guarded),
      located: (ejected) => openFiles.limited(locating.located(ejected), bound),
      ...this.#lastStages,
      templates: this.#templates,
    });
  }

  get #lastStages(): Pick<Stages, 'quarantine' | 'permitted'> {
    const { locating, quarantining } = this.#parts;
    return { quarantine: quarantining.state, permitted: (catalog, names) => locating.permitted(catalog, names) };
  }

  requested(catalog: Catalog): Requested {
    return this.effective(catalog).requested;
  }

  /** The instances that the limit of open files leaves out, or lets in again, since the last call. */
  openFilesChanged(catalog: Catalog): DirtySet {
    this.requested(catalog);
    return this.#parts.openFiles.moved.take();
  }

  build(requested: Requested, served: Rendered, cold: boolean): RefusedBuild {
    const { templating } = withQuarantined(this.#parts.quarantining.state, requested);
    return {
      requested,
      desired: withoutUnusedPolicies(templating, this.#parts.baseSettings, this.#desired),
      served,
      cold,
    };
  }

  /** Takes out of quarantine whatever changed since it was refused. Returns the services to render for it. */
  review(requested: Requested): { readonly services: readonly ServiceName[]; readonly all: boolean } {
    const { services, all } = this.#parts.quarantining.review(requested);
    if (all) this.#mustRenderAll = true;
    return { services, all };
  }
  onQuarantineChanged(served: Rendered): void {
    this.#desired = withQuarantinedInstances(this.#parts.quarantining.state, this.#desired, served);
    this.#mustRenderAll = true;
  }

  /** Renders the requested catalog, and quarantines what no template can render. Returns the effective catalog. */
  render(dirty: DirtySet, requested: Requested, served: Rendered): Catalog {
    const { metrics, baseSettings, quarantining, rejections, openFiles } = this.#parts;
    const { catalog, templating, refused } = quarantinedCatalog(requested, this.#lastStages);
    let result: RenderResult;
    try {
      result = this.#mustRenderAll
        ? renderAll(templating, baseSettings, this.#desired, catalog)
        : renderDirty(templating, baseSettings, this.#desired, catalog, dirty);
    } catch (error) {
      if (!(error instanceof Fault) || !quarantining.quarantineUnusable(requested, this.#desired, error.toString()))
        throw error;
      this.#mustRenderAll = true;
      return this.render(dirty, requested, served);
    }
    const { rendered, problems, conflicts } = result;
    if (quarantining.quarantineUnrendered(problems, { requested, desired: this.#desired, served, cold: false })) {
      if (quarantining.refusedTemplate !== undefined) this.#mustRenderAll = true;
      return this.render(dirty, requested, served);
    }
    if (rendered.base !== this.#desired.base) openFiles.baseChanged(rendered.base.before + rendered.base.after);
    this.#desired = this.#bounded(rendered, templating);
    if (this.#mustRenderAll) this.#paced.clear();
    for (const name of (this.#mustRenderAll ? rendered.backends : dirty).keys()) {
      const backend = rendered.backends.get(name);
      const reason = backend && describePace(backend);
      if (reason === undefined) this.#paced.delete(name);
      else this.#paced.set(name, reason);
    }
    quarantining.rendered(this.#mustRenderAll ? undefined : dirty, problems, requested.catalog);
    this.#mustRenderAll = false;
    rejections.rendered(dirty, [...problems, ...refused], rendered.revision);
    if (conflicts !== undefined) rejections.conflicting(conflicts, rendered.routeTable ?? noRoutes);
    metrics.services.set(rendered.backends.size);
    return catalog;
  }

  /** Without policies that no service has any more. */
  #bounded(rendered: Rendered, templating: Templates): Rendered {
    const used = () => withoutUnusedPolicies(templating, this.#parts.baseSettings, rendered).policies;
    const policies = this.#sweep.bounded(rendered.policies, used);
    return policies === rendered.policies ? rendered : { ...rendered, policies };
  }
}
