import type { Catalog } from '../../catalog/catalog.ts';
import { withSiblings } from '../../catalog/split.ts';
import type { Newcomer } from '../../haproxy/newcomers.ts';
import { type PlanConditions, planChanges } from '../../haproxy/plan.ts';
import { withdrawable } from '../../haproxy/plan-routes.ts';
import { describeReason } from '../../haproxy/reload-reason.ts';
import { describeStep, type Step } from '../../haproxy/step.ts';
import { touchedBy } from '../../haproxy/turns.ts';
import { allDirty, type DirtySet, DirtySetBuilder } from '../../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { acmeService, serviceOfTarget } from '../../model/route-target.ts';
import { withPaced } from '../../render/check-pace.ts';
import type { Rendered } from '../../render/rendered.ts';
import { deferred } from '../../waiting/deferred.ts';
import type { ServingObserver } from '../observe/serving-observer.ts';
import { unpaused } from '../overrides/overriding.ts';
import type { Requested } from '../quarantine/quarantine.ts';
import { refusalsOf } from '../quarantine/quarantine-status.ts';
import type { ReloadPacing } from '../reload/reload-pacing.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Intake } from './intake.ts';
import type { Progress } from './progress.ts';
import type { Rejections } from './rejections.ts';
import type { Reloading } from './reloading.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';
import { Slices } from './slices.ts';
import { unanswered } from './unanswered.ts';
import { unasked } from './unasked.ts';
import { Unauthenticated } from './unauthenticated.ts';
import { unmatched } from './unmatched.ts';
import { unservedKeys } from './unserved-keys.ts';

type ReconcilerParts = Pick<
  BalancerParts,
  'link' | 'files' | 'quarantining' | 'firstChecks' | 'states' | 'secretProblem' | 'baseSettings' | 'now'
> & {
  readonly intake: Intake;
  readonly rendering: Rendering;
  readonly running: Running;
  readonly reloads: Reloads;
  readonly pacing: Pick<ReloadPacing, 'isWaiting'>;
  readonly reloading: Reloading;
  readonly rejections: Rejections;
  readonly progress: Progress;
  /** Whether a task is due other than the rest of an unfinished round. */
  readonly othersDue: () => boolean;
};

const unfinishedReason = 'pointsman applies the many changes of this service in slices';

/** Renders and applies dirty services, and publishes which revision HAProxy serves. */
export class Reconciler {
  readonly #parts: ReconcilerParts;
  /** The newest catalog that a round gave HAProxy; undefined while it may run something else. */
  #applied: Catalog | undefined;
  observer: ServingObserver | undefined;
  readonly #slices: Slices;
  readonly #unauthenticated = new Unauthenticated();
  /** Services that are rendered and applied only in part. They go on in the next round, in this order. */
  #unfinished: DirtySet = new Map();
  /** Whether the last round was planned while no reload was possible. */
  #obstructed = false;
  #reconciling = false;
  readonly #first = deferred();

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
    this.#slices = new Slices(parts);
  }

  /** Whether HAProxy has only some of the changes of a service. */
  get unfinished(): boolean {
    return this.#unfinished.size > 0;
  }

  /** Resolves when the first round has ended. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Whether HAProxy may run another state than `served`, or no round has ended. */
  get doubted(): boolean {
    return this.#applied === undefined;
  }

  /** HAProxy may run another state than `served`. */
  doubt(): void {
    this.#applied = undefined;
  }

  /** Has all services planned again, those of the catalog and those that HAProxy serves. */
  markAllDirty(): void {
    const { intake, running, baseSettings } = this.#parts;
    const own = baseSettings.acme === true ? [acmeService] : [];
    const all = allDirty([...running.served.backends.keys(), ...intake.catalog.services.keys(), ...own]);
    intake.dirty.add(all);
    // No round follows: HAProxy has all of the empty catalog.
    if (all.size === 0) this.#applied = intake.catalog;
  }

  /** Renders dirty services, plans the difference and applies it. A step that HAProxy cannot do at run time needs a reload. */
  async reconcile(): Promise<void> {
    const { quarantining, intake, rendering, running, reloads, reloading, progress, now } = this.#parts;
    const began = now();
    const applied = intake.catalog;
    const requested = rendering.requested(applied);
    this.#review(requested);
    const taken = intake.dirty.take();
    const changed = withPaced(withSiblings(taken, requested.catalog), requested.catalog, rendering.desired);
    const dirty = withUnfinished(changed, this.#unfinished);
    // Before the commands: a reload that ends during them must not miss any.
    reloading.changed(dirty);
    this.#reconciling = true;
    const { catalog, plan, unfinished } = await this.#apply(changed, dirty, requested, began)
      .catch((error: unknown) => {
        intake.dirty.add(dirty);
        throw error;
      })
      .finally(() => {
        this.#reconciling = false;
      });
    this.#unfinished = unfinished;
    const finished = new Map([...dirty].filter(([name]) => !unfinished.has(name)));
    running.removeLater(finished.keys(), rendering.desired);
    const { tooManyRetired } = running.pendingRemovals;
    if (tooManyRetired !== undefined) reloads.need(tooManyRetired);
    if (plan.reload.length > 0) {
      reloads.tryAgain();
      // HAProxy may refuse the reload. The last good forms must be on disk before the catalog, which does not have them.
      void quarantining.save(intake.catalog);
    }
    if (reloads.pending.length === 0 && !this.unfinished) progress.onApplied(rendering.desired.revision);
    this.#applied = applied;
    this.#unauthenticated.applied(dirty, applied);
    this.observer?.onApplied(finished, catalog);
    this.#first.resolve();
    this.saveSoon();
  }

  /** `changed` is the part of `dirty` that has to be rendered. */
  async #apply(changed: DirtySet, dirty: DirtySet, requested: Requested, began: number) {
    const { rendering, running, reloads, firstChecks, progress, now } = this.#parts;
    const catalog = rendering.render(changed, requested, running.served);
    const rendered = now();
    const { desired } = rendering;
    this.#obstructed = reloads.obstacle !== undefined;
    const conditions = this.conditions(catalog);
    const plan = planChanges(running.served, desired, dirty, running.pendingRemovals.servers, conditions);
    reloads.planned(plan.reload, desired);
    firstChecks.giving(plan.steps, running.served, desired);
    const { routes } = running.served;
    const { done, left, refused } = await this.#slices.apply(plan.steps, desired, now() - rendered);
    reloads.planned(refused, desired);
    firstChecks.onApplied(dirty, catalog, running.served, newcomersAmong(done, running.served));
    progress.onRound({
      began,
      rendered,
      commanded: now(),
      what: [...done.map(describeStep), ...plan.reload.map(describeReason)],
    });
    return { catalog, plan, unfinished: touchedBy(left, routes, dirty) };
  }

  /** What a plan for this catalog depends on now. */
  conditions(catalog: Catalog): PlanConditions {
    const { link, running, reloads, pacing, firstChecks } = this.#parts;
    return {
      ...link.abilities,
      certain: !reloads.needs('drift'),
      obstructed: reloads.obstacle !== undefined,
      firstChecks: firstChecks.rule(catalog),
      paced: (service) => pacing.isWaiting(service),
      full: running.pendingRemovals.fullRule(),
      reuses: (server) => link.reuses || !running.addedAtRunTime.has(server),
    };
  }

  /** Has everything rendered that changed since HAProxy refused it. */
  #review(requested: Requested): void {
    const { intake, rendering } = this.#parts;
    const { services, all } = rendering.review(requested);
    for (const name of services) intake.dirty.service(name);
    intake.dirty.add(rendering.openFilesChanged(intake.catalog));
    if (all) this.markAllDirty();
  }

  /** While no reload is possible, has the routes removed that a new policy does not have. */
  withdraw(): void {
    const { intake, rendering, running, reloads } = this.#parts;
    // The last round tried to remove them already. Another round would change nothing.
    if (reloads.obstacle === undefined || this.#obstructed) return;
    for (const route of withdrawable(running.served, rendering.desired, { certain: !reloads.needs('drift') })) {
      const target = running.served.routes.get(route);
      if (target !== undefined) intake.dirty.service(serviceOfTarget(target));
    }
  }

  /** Announces which revision HAProxy serves, unless a reload comes first. Returns whether it did. */
  publish(): boolean {
    const { link, quarantining, intake, rendering, running, reloads, reloading, rejections, progress } = this.#parts;
    const { secretProblem, baseSettings } = this.#parts;
    const { workerPid } = link;
    if (this.#applied === undefined || workerPid === undefined) return false;
    // HAProxy may not have yet what the round rendered. The balancer publishes after the round.
    if (this.#reconciling) return false;
    // The new worker may not have the changes that the old one got. They count as served when it has them.
    if (reloading.loading) return false;
    const { pending, paced, obstacle = reloads.slow ?? [...paced.values()][0] } = reloads;
    if (pending.length > 0 && obstacle === undefined) return false;
    // Later events that made nothing dirty are served as well.
    if (intake.dirty.empty) {
      this.#applied = intake.catalog;
      if (pending.length === 0 && !this.unfinished) {
        progress.onApplied(intake.catalog.revision);
        quarantining.proven(rendering.requested(intake.catalog));
      }
    }
    const reasonOf = (name: ServiceName) =>
      this.#unfinished.has(name) ? unfinishedReason : (obstacle ?? unfinishedReason);
    const routesWait = new Set([...reloads.crowding, ...this.#unfinished.keys()]);
    const unserved = [
      ...(obstacle !== undefined || this.unfinished
        ? unservedKeys(rendering.desired, running.served, reasonOf, routesWait)
        : []),
      ...(obstacle === undefined ? [] : reloads.moving.map((at) => ({ key: `instances/${at}`, reason: obstacle }))),
      ...refusalsOf(quarantining.state, running.served),
      ...rejections.unrendered,
      ...(link.canPause ? [] : [...unpaused(this.#applied), ...unasked(this.#applied)]),
      ...this.#unauthenticated.refusals(secretProblem),
      // Needs Lua, too.
      ...unmatched(this.#applied, rendering.templates, link.canPause),
      ...unanswered(this.#applied, running.served, rendering.templates, baseSettings, obstacle ?? unfinishedReason),
    ];
    const { unrouted, conflictsByService: conflicts } = rejections;
    this.observer?.onServed(this.#applied, { unserved, unrouted, conflicts }, workerPid);
    return true;
  }

  saveSoon(): void {
    const { files, states, intake, running } = this.#parts;
    files.saveSoon(running.served, intake.catalog);
    states.keepSoon();
  }
}

/** Services that changed now come first, except those that the last round did not finish. */
function withUnfinished(changed: DirtySet, unfinished: DirtySet): DirtySet {
  if (unfinished.size === 0) return changed;
  const all = new DirtySetBuilder();
  all.add(new Map([...changed].filter(([name]) => !unfinished.has(name))));
  all.add(unfinished);
  all.add(changed);
  return all.take();
}

/** The servers that these steps added and that have to pass a first check. */
function newcomersAmong(steps: readonly Step[], served: Rendered): readonly Newcomer[] {
  return steps.flatMap((step) => {
    if (!('checkFirst' in step) || step.checkFirst !== true) return [];
    const service = step.backend as ServiceName;
    const id = step.server.name as InstanceId;
    const line = served.backends.get(service)?.servers.get(id);
    return line === undefined ? [] : [{ service, id, line }];
  });
}
