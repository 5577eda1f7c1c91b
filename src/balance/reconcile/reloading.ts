import { type DirtySet, DirtySetBuilder } from '../../model/dirty-set.ts';
import type { ServiceName } from '../../model/name.ts';
import { acmeService, isStateKey, serviceOfState, serviceOfTarget } from '../../model/route-target.ts';
import type { Rendered } from '../../render/rendered.ts';
import { sameSection } from '../../render/template.ts';
import type { RefusedBuild } from '../quarantine/candidates.ts';
import type { Quarantine } from '../quarantine/quarantine.ts';
import type { Reloaded, Reloads } from '../reload/reloads.ts';

type ReloadingParts = {
  readonly reloads: Reloads;
  readonly served: () => Rendered;
  readonly desired: () => Rendered;
  /** Whether HAProxy runs, so that it can load a configuration. */
  readonly mayLoad: () => boolean;
  readonly onEnd: () => void;
};

/** A reload, with its build and the quarantine that it was made with. */
type FinishedReload = { readonly build: RefusedBuild; readonly quarantine: Quarantine; readonly result: Reloaded };

/** Runs one reload at a time. Rounds go on meanwhile, with the worker that serves. */
export class Reloading {
  readonly #parts: ReloadingParts;
  /** Changes by command since the reload began. */
  readonly #meanwhile = new DirtySetBuilder();
  /** The part of `meanwhile` that the configuration on disk does not have. */
  readonly #unwritten = new DirtySetBuilder();
  #ongoing: Promise<void> | undefined;
  #ended: FinishedReload | undefined;

  constructor(parts: ReloadingParts) {
    this.#parts = parts;
  }

  /** Undefined while no reload runs. */
  get ongoing(): Promise<void> | undefined {
    return this.#ongoing;
  }

  /** Whether a reload runs, or has ended and `take` was not called yet. */
  get busy(): boolean {
    return this.#ongoing !== undefined || this.#ended !== undefined;
  }

  /** HAProxy loads the configuration on disk and may replace the worker at any moment. */
  get loading(): boolean {
    return this.#parts.reloads.loading || this.#ended !== undefined;
  }

  /** HAProxy is to load this build. */
  begin(build: RefusedBuild, quarantine: Quarantine): void {
    const { reloads, served, desired, mayLoad, onEnd } = this.#parts;
    const newest = () => withCommanded(build.desired, served(), desired(), this.#unwritten.take());
    this.#ongoing = reloads.perform(build.desired, { newest, served, mayLoad }).then((result) => {
      this.#ongoing = undefined;
      this.#unwritten.take();
      this.#ended = { build, quarantine, result };
      onEnd();
    });
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** A round makes these changes by command. */
  changed(dirty: DirtySet): void {
    if (this.#ongoing === undefined && this.#ended === undefined) return;
    if (this.#ended === undefined) this.#unwritten.add(dirty);
    this.#meanwhile.add(dirty);
  }

  /**
   * The reload that has ended, once. `meanwhile`: changes that pointsman made by command during the reload. The new worker may not have
   * them.
   */
  take(): (FinishedReload & { readonly meanwhile: DirtySet }) | undefined {
    const ended = this.#ended;
    this.#ended = undefined;
    return ended && { ...ended, meanwhile: this.#meanwhile.take() };
  }
}

/**
 * The validated state with the changes that pointsman made by command since. HAProxy runs these lines, so they are good. Without them a
 * server that left during the check would be back for a moment.
 */
function withCommanded(checked: Rendered, served: Rendered, desired: Rendered, dirty: DirtySet): Rendered {
  let { backends, routes } = checked;
  for (const [name, mark] of dirty) {
    const backend = backends.get(name);
    const now = served.backends.get(name);
    const wanted = desired.backends.get(name);
    if (backend === undefined) continue;
    const ids = mark.whole
      ? new Set([...backend.servers.keys(), ...(now?.servers.keys() ?? []), ...(wanted?.servers.keys() ?? [])])
      : mark.instances;
    const servers = backend.servers.withMutations((all) => {
      for (const id of ids) {
        const line = now?.servers.get(id);
        if (line !== wanted?.servers.get(id)) continue;
        if (line === undefined) all.delete(id);
        else all.set(id, line);
      }
    });
    backends = backends.set(name, { ...backend, servers });
  }
  if (served.routes !== routes) {
    routes = routes.withMutations((all) => {
      // Routes and rules of two versions of a policy must not mix.
      const isSame = (service: ServiceName) => {
        const [one, other] = [checked.backends.get(service), desired.backends.get(service)];
        return one !== undefined && other !== undefined && sameSection(one.section, other.section);
      };
      for (const [route, target] of served.routes) {
        const leads = isStateKey(route) || serviceOfTarget(target) === acmeService || isSame(serviceOfTarget(target));
        if (desired.routes.get(route) === target && leads) all.set(route, target);
      }
      for (const route of checked.routes.keys()) {
        if (served.routes.has(route) || desired.routes.has(route)) continue;
        const service = isStateKey(route) ? serviceOfState(route) : undefined;
        if (service === undefined || isSame(service) || !desired.backends.has(service)) all.delete(route);
      }
    });
  }
  return { ...checked, backends, routes };
}
