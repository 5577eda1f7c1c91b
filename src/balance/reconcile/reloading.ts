import { type DirtySet, DirtySetBuilder } from '../../model/dirty-set.ts';
import type { ServiceName } from '../../model/name.ts';
import { serviceOfTarget } from '../../model/route-target.ts';
import { isStateKey, serviceOfState } from '../../model/service-state.ts';
import type { Rendered } from '../../render/rendered.ts';
import { sameSection } from '../../render/template.ts';
import type { RefusedBuild } from '../quarantine/candidates.ts';
import type { Quarantine } from '../quarantine/quarantine.ts';
import type { Reloaded, Reloads } from '../reload/reloads.ts';

type ReloadingParts = {
  readonly reloads: Reloads;
  /** What HAProxy serves now. */
  readonly served: () => Rendered;
  /** What it should serve now. */
  readonly desired: () => Rendered;
  /** Whether HAProxy runs, so that it can be told to load something. */
  readonly mayLoad: () => boolean;
  /** The reload came to its end. */
  readonly onEnd: () => void;
};

/** What HAProxy is to load, and what was held of it. */
export type Loading = { readonly build: RefusedBuild; readonly quarantine: Quarantine };

type FinishedReload = Loading & { readonly result: Reloaded };

/** How a reload ended. */
export type Ended = FinishedReload & {
  /** What was changed by command while it was under way: the new worker may not know of it. */
  readonly meanwhile: DirtySet;
};

/** One reload at a time, beside the rounds: they go on with the worker that serves. */
export class Reloading {
  readonly #parts: ReloadingParts;
  /** What was changed by command since it began. */
  readonly #meanwhile = new DirtySetBuilder();
  /** That part of it which is not in what HAProxy is to load. */
  readonly #unwritten = new DirtySetBuilder();
  #ongoing: Promise<void> | undefined;
  #ended: FinishedReload | undefined;

  constructor(parts: ReloadingParts) {
    this.#parts = parts;
  }

  /** Undefined while none is under way. */
  get ongoing(): Promise<void> | undefined {
    return this.#ongoing;
  }

  /** Whether one is under way, or has ended and was not taken yet. */
  get busy(): boolean {
    return this.#ongoing !== undefined || this.#ended !== undefined;
  }

  /** HAProxy was told to load what is on disk, so the worker may be replaced at any moment. */
  get loading(): boolean {
    return this.#parts.reloads.loading || this.#ended !== undefined;
  }

  begin(loading: Loading): void {
    const { build } = loading;
    const { reloads, served, desired, mayLoad, onEnd } = this.#parts;
    const newest = () => withCommanded(build.desired, served(), desired(), this.#unwritten.take());
    this.#ongoing = reloads.perform(build.desired, { newest, served, mayLoad }).then((result) => {
      this.#ongoing = undefined;
      this.#unwritten.take();
      this.#ended = { ...loading, result };
      onEnd();
    });
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** A round changed this by command. */
  changed(dirty: DirtySet): void {
    if (this.#ongoing === undefined && this.#ended === undefined) return;
    if (this.#ended === undefined) this.#unwritten.add(dirty);
    this.#meanwhile.add(dirty);
  }

  /** How it ended, once. */
  take(): Ended | undefined {
    const ended = this.#ended;
    this.#ended = undefined;
    return ended && { ...ended, meanwhile: this.#meanwhile.take() };
  }
}

/**
 * What HAProxy was checked with, with what was changed by command since: HAProxy runs those lines, so they are good. Without
 * this a server that left during the check would be back for a moment.
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
      // A route of another version of the policy than was checked has no business with its rules.
      const isSame = (service: ServiceName) => {
        const [one, other] = [checked.backends.get(service), desired.backends.get(service)];
        return one !== undefined && other !== undefined && sameSection(one.section, other.section);
      };
      for (const [route, target] of served.routes) {
        const leads = isStateKey(route) || isSame(serviceOfTarget(target));
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
