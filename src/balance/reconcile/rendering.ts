import type { Catalog } from '../../catalog/catalog.ts';
import type { Touched } from '../../model/dirty-set.ts';
import { Fault } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import { describePace } from '../../render/check-pace.ts';
import {
  type RenderResult,
  renderAll,
  renderTouched,
  type Templates,
  withoutUnusedPolicies,
} from '../../render/render.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import { noRoutes } from '../../render/routes.ts';
import type { FrameSettings } from '../../render/view.ts';
import type { Locating } from '../addresses/locating.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { Suspicion } from '../quarantine/candidates.ts';
import type { Asked } from '../quarantine/quarantine.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import { Sweep } from '../reload/sweep.ts';
import type { Rejections } from './rejections.ts';

type RenderingParts = {
  readonly templates: Templates;
  readonly frame: FrameSettings;
  readonly quarantining: Pick<
    Quarantining,
    'withHeld' | 'withHeldInstances' | 'review' | 'holdUnusable' | 'holdUnrendered' | 'refusedTemplate' | 'rendered'
  >;
  readonly guarding: Pick<Guarding, 'served' | 'holding'>;
  readonly locating: Pick<Locating, 'served' | 'permitted'>;
  readonly openFiles: Pick<OpenFilesLimit, 'served' | 'moved' | 'framed'>;
  readonly metrics: Pick<BalanceMetrics, 'services'>;
  readonly rejections: Pick<Rejections, 'rendered' | 'conflicting'>;
};

/** What the registry asks for, as it is to be given to HAProxy: with what the guard holds, addresses for names, and last good forms. */
export class Rendering {
  readonly #parts: RenderingParts;
  #templates: Templates;
  #desired: Rendered = nothingRendered;
  #mustRenderAll = false;
  readonly #sweep = new Sweep();
  /** Services that are checked more seldom than their policies say, with the reason. */
  readonly #paced = new Map<ServiceName, string>();

  constructor(parts: RenderingParts) {
    this.#parts = parts;
    this.#templates = parts.templates;
  }

  get desired(): Rendered {
    return this.#desired;
  }

  /** Whose checks are further apart than the policies say; undefined while nobody's are. */
  get checkTrouble(): string | undefined {
    if (this.#paced.size === 0) return undefined;
    const [first = ''] = [...this.#paced].map(([name, reason]) => `${name}: ${reason}`);
    return this.#paced.size === 1 ? first : `${first}; and ${this.#paced.size - 1} more services`;
  }

  /** Starts from what an earlier run had rendered. */
  begin(before: Rendered): void {
    this.#desired = before;
    this.#mustRenderAll = true;
  }

  useTemplates(templates: Templates): void {
    this.#templates = templates;
    this.#mustRenderAll = true;
  }

  asked(catalog: Catalog): Asked {
    const { guarding, locating, openFiles } = this.#parts;
    const located = locating.served(guarding.served(catalog));
    // Each instance has an entry, unless it is held.
    const bound = guarding.holding ? Number.POSITIVE_INFINITY : catalog.accepted.size;
    return { catalog: openFiles.served(located, bound), templates: this.#templates };
  }

  /** Whom the limit of open files concerns otherwise since this was asked last. */
  moved(catalog: Catalog): Touched {
    this.asked(catalog);
    return this.#parts.openFiles.moved.take();
  }

  build(asked: Asked, served: Rendered, cold: boolean): Suspicion {
    const { templating } = this.#parts.quarantining.withHeld(asked);
    return { asked, desired: withoutUnusedPolicies(templating, this.#parts.frame, this.#desired), served, cold };
  }

  /** What changed since it was refused is tried again. Gives the services that are to be rendered for it. */
  review(asked: Asked): { readonly services: readonly ServiceName[]; readonly all: boolean } {
    const { services, all } = this.#parts.quarantining.review(asked);
    if (all) this.#mustRenderAll = true;
    return { services, all };
  }

  /** Other things are held now. */
  holdBack(served: Rendered): void {
    this.#desired = this.#parts.quarantining.withHeldInstances(this.#desired, served);
    this.#mustRenderAll = true;
  }

  /** Renders what is asked for, but for what is held, or is to be held from now on. Gives the catalog that it is made of. */
  render(touched: Touched, asked: Asked, served: Rendered): Catalog {
    const { metrics, frame, quarantining, rejections, openFiles, locating } = this.#parts;
    const { catalog: held, templating } = quarantining.withHeld(asked);
    const { catalog, refused } = locating.permitted(held, templating.quarantined?.keys() ?? []);
    let result: RenderResult;
    try {
      result = this.#mustRenderAll
        ? renderAll(templating, frame, this.#desired, catalog)
        : renderTouched(templating, frame, this.#desired, catalog, touched);
    } catch (error) {
      if (!(error instanceof Fault) || !quarantining.holdUnusable(asked, this.#desired, error.toString())) throw error;
      this.#mustRenderAll = true;
      return this.render(touched, asked, served);
    }
    const { rendered, problems, conflicts } = result;
    if (quarantining.holdUnrendered(problems, { asked, desired: this.#desired, served, cold: false })) {
      if (quarantining.refusedTemplate !== undefined) this.#mustRenderAll = true;
      return this.render(touched, asked, served);
    }
    if (rendered.frame !== this.#desired.frame) openFiles.framed(rendered.frame.before + rendered.frame.after);
    this.#desired = this.#bounded(rendered, templating);
    if (this.#mustRenderAll) this.#paced.clear();
    for (const name of (this.#mustRenderAll ? rendered.backends : touched).keys()) {
      const backend = rendered.backends.get(name);
      const reason = backend && describePace(backend);
      if (reason === undefined) this.#paced.delete(name);
      else this.#paced.set(name, reason);
    }
    quarantining.rendered(this.#mustRenderAll ? undefined : touched, problems, asked.catalog);
    this.#mustRenderAll = false;
    rejections.rendered(touched, [...problems, ...refused], rendered.revision);
    if (conflicts !== undefined) rejections.conflicting(conflicts, rendered.routeTable ?? noRoutes);
    metrics.services.set(rendered.backends.size);
    return catalog;
  }

  /** Without policies of the past. */
  #bounded(rendered: Rendered, templating: Templates): Rendered {
    const used = () => withoutUnusedPolicies(templating, this.#parts.frame, rendered).policies;
    const policies = this.#sweep.bounded(rendered.policies, used);
    return policies === rendered.policies ? rendered : { ...rendered, policies };
  }
}
