import type { Catalog } from '../../catalog/catalog.ts';
import { withSiblings } from '../../catalog/split.ts';
import type { Newcomer } from '../../haproxy/newcomers.ts';
import { describeReason, type Plan, planChanges } from '../../haproxy/plan.ts';
import { withdrawable } from '../../haproxy/plan-routes.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { describeStep, type Step } from '../../haproxy/step.ts';
import { touchedBy } from '../../haproxy/turns.ts';
import { allTouched, type Touched, TouchedGathering } from '../../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { serviceOf } from '../../model/route-target.ts';
import { withPaced } from '../../render/check-pace.ts';
import type { Rendered } from '../../render/rendered.ts';
import { deferred } from '../../waiting/deferred.ts';
import type { FirstChecks } from '../first-check/first-checks.ts';
import type { Progress } from '../observe/progress.ts';
import type { ServingObserver } from '../observe/serving-observer.ts';
import { unpaused } from '../overrides/unpaused.ts';
import type { Asked } from '../quarantine/quarantine.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { ServerStates } from '../reload/server-states.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Intake } from './intake.ts';
import type { Rejections } from './rejections.ts';
import type { Reloading } from './reloading.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';
import { Slices } from './slices.ts';
import { unserved } from './unserved-keys.ts';

type RoundsParts = {
  readonly link: RuntimeLink;
  readonly files: StateFiles;
  readonly quarantining: Quarantining;
  readonly intake: Intake;
  readonly rendering: Rendering;
  readonly running: Running;
  readonly reloads: Reloads;
  readonly reloading: Reloading;
  readonly rejections: Rejections;
  readonly firstChecks: FirstChecks;
  readonly states: Pick<ServerStates, 'keepSoon'>;
  readonly progress: Progress;
  /** Whether something is due that is not the rest of a round. */
  readonly othersDue: () => boolean;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

const unfinishedReason = 'HAProxy is given many changes of this service, some at a time';

const first = <T>(values: Iterable<T>): T | undefined => [...values][0];

/** Brings to HAProxy what was touched, and tells how far it serves. */
export class Rounds {
  readonly #parts: RoundsParts;
  /** The newest catalog that a round gave HAProxy; undefined while it may run something else. */
  #given: Catalog | undefined;
  #observer: ServingObserver | undefined;
  readonly #slices: Slices;
  /** Rendered and given in part: each service has its turn again in the next round, in this order. */
  #unfinished: Touched = new Map();
  /** Whether the last round was planned for a reload that cannot be done. */
  #obstructed = false;
  #performing = false;
  readonly #first = deferred();

  constructor(parts: RoundsParts) {
    this.#parts = parts;
    this.#slices = new Slices(parts);
  }

  /** Whether HAProxy has got only some of the changes of a service. */
  get unfinished(): boolean {
    return this.#unfinished.size > 0;
  }

  /** Resolves when there was one. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  observe(observer: ServingObserver): void {
    this.#observer = observer;
  }

  /** Whether HAProxy may run something else than it was given, or has not been given anything. */
  get doubted(): boolean {
    return this.#given === undefined;
  }

  /** HAProxy may run something else than it was given. */
  doubt(): void {
    this.#given = undefined;
  }

  /** Has all that is served, and all that is asked for, planned anew. */
  touchAll(): void {
    const { intake, running } = this.#parts;
    const all = allTouched([...running.served.backends.keys(), ...intake.catalog.services.keys()]);
    intake.touched.add(all);
    // No round follows where there is nothing to give.
    if (all.size === 0) this.#given = intake.catalog;
  }

  /** Renders what was touched, plans the difference and gives HAProxy its commands; what else it needs is a reload. */
  async reconcile(): Promise<void> {
    const { quarantining, intake, rendering, running, reloads, reloading, progress, now } = this.#parts;
    const began = now();
    const given = intake.catalog;
    const asked = rendering.asked(given);
    this.#review(asked);
    const taken = intake.touched.take();
    const changed = withPaced(withSiblings(taken, asked.catalog), asked.catalog, rendering.desired);
    const touched = withUnfinished(changed, this.#unfinished);
    // Before the commands: a reload that ends among them must not miss any.
    reloading.changed(touched);
    this.#performing = true;
    const { catalog, plan, unfinished } = await this.#apply(changed, touched, asked, began)
      .catch((error: unknown) => {
        intake.touched.add(touched);
        throw error;
      })
      .finally(() => {
        this.#performing = false;
      });
    this.#unfinished = unfinished;
    const finished = new Map([...touched].filter(([name]) => !unfinished.has(name)));
    running.removeLater(finished.keys(), rendering.desired);
    const { tooManyRetired } = running;
    if (tooManyRetired !== undefined) reloads.need(tooManyRetired);
    if (plan.reload.length > 0) {
      reloads.tryAgain();
      // What is asked for may be refused: what was good must be on disk before the catalog that has forgotten it.
      void quarantining.save(intake.catalog);
    }
    if (reloads.pending.length === 0 && !this.unfinished) progress.reached(rendering.desired.revision);
    this.#given = given;
    this.#observer?.onApplied(finished, catalog);
    this.#first.resolve();
    this.saveSoon();
  }

  /** `changed`: what is to be rendered, among all that is `touched`. */
  async #apply(changed: Touched, touched: Touched, asked: Asked, began: number): Promise<Applied> {
    const { link, rendering, running, reloads, firstChecks, progress, now } = this.#parts;
    const catalog = rendering.render(changed, asked, running.served);
    const rendered = now();
    const { desired } = rendering;
    this.#obstructed = reloads.obstacle !== undefined;
    const plan = planChanges(running.served, desired, touched, running.burials.servers, {
      ...link.abilities,
      certain: !reloads.needs('drift'),
      obstructed: this.#obstructed,
      firstChecks: firstChecks.rule(catalog),
      paced: (service) => reloads.isPaced(service),
      full: running.fullRule(),
      reuses: (server) => link.reuses || !running.addedAtRunTime.has(server),
    });
    reloads.planned(plan.reload, desired);
    firstChecks.giving(plan.steps, running.served, desired);
    const { routes } = running.served;
    const { done, left, refused } = await this.#slices.give(plan.steps, desired, now() - rendered);
    reloads.planned(refused, desired);
    firstChecks.onApplied(touched, catalog, running.served, newcomersAmong(done, running.served));
    progress.round({
      began,
      rendered,
      commanded: now(),
      what: [...done.map(describeStep), ...plan.reload.map(describeReason)],
    });
    return { catalog, plan, unfinished: touchedBy(left, routes, touched) };
  }

  /** What changed since it was refused is tried again. */
  #review(asked: Asked): void {
    const { intake, rendering } = this.#parts;
    const { services, all } = rendering.review(asked);
    for (const name of services) intake.touched.service(name);
    intake.touched.add(rendering.moved(intake.catalog));
    if (all) this.touchAll();
  }

  /** Has routes removed that wait, with the rest of their policy, for a reload that cannot be done for now. */
  withdraw(): void {
    const { intake, rendering, running, reloads } = this.#parts;
    // The last round removed them already, unless HAProxy refused it: then another round would change nothing.
    if (reloads.obstacle === undefined || this.#obstructed) return;
    for (const route of withdrawable(running.served, rendering.desired, { certain: !reloads.needs('drift') })) {
      const target = running.served.routes.get(route);
      if (target !== undefined) intake.touched.service(serviceOf(target));
    }
  }

  /** Tells how far HAProxy serves, unless a reload is still to come. Whether it told. */
  publish(): boolean {
    const { link, quarantining, intake, rendering, running, reloads, reloading, rejections, progress } = this.#parts;
    const { workerPid } = link;
    if (this.#given === undefined || workerPid === undefined) return false;
    // What the round has rendered, HAProxy may not have got yet. It is told after the round.
    if (this.#performing) return false;
    // Until the new worker was given what the old one was, nobody may be told that it is served.
    if (reloading.loading) return false;
    const { pending, paced, obstacle = reloads.slow ?? first(paced.values()) } = reloads;
    if (pending.length > 0 && obstacle === undefined) return false;
    // What came in since and touched nothing is served as well.
    if (intake.touched.empty) {
      this.#given = intake.catalog;
      if (pending.length === 0 && !this.unfinished) {
        progress.reached(intake.catalog.revision);
        quarantining.proven(rendering.asked(intake.catalog));
      }
    }
    const reasonOf = (name: ServiceName) =>
      this.#unfinished.has(name) ? unfinishedReason : (obstacle ?? unfinishedReason);
    const routesWait = new Set([...reloads.crowding, ...this.#unfinished.keys()]);
    const refused = [
      ...(obstacle !== undefined || this.unfinished
        ? unserved(rendering.desired, running.served, reasonOf, routesWait)
        : []),
      ...(obstacle === undefined ? [] : reloads.moving.map((at) => ({ key: `instances/${at}`, reason: obstacle }))),
      ...quarantining.refusals(running.served),
      ...rejections.unrendered,
      ...(link.canPause ? [] : unpaused(this.#given)),
    ];
    this.#observer?.onServed(this.#given, { refused, unrouted: rejections.unrouted }, workerPid);
    return true;
  }

  saveSoon(): void {
    const { files, states, intake, running } = this.#parts;
    files.saveSoon(running.served, intake.catalog);
    states.keepSoon();
  }
}

type Applied = { readonly catalog: Catalog; readonly plan: Plan; readonly unfinished: Touched };

/** What changed now comes first, but for services that have had their turn. */
function withUnfinished(changed: Touched, unfinished: Touched): Touched {
  if (unfinished.size === 0) return changed;
  const all = new TouchedGathering();
  all.add(new Map([...changed].filter(([name]) => !unfinished.has(name))));
  all.add(unfinished);
  all.add(changed);
  return all.take();
}

/** The servers that HAProxy took by these steps, and that are to pass a check first. */
function newcomersAmong(steps: readonly Step[], served: Rendered): readonly Newcomer[] {
  return steps.flatMap((step) => {
    if (!('checkFirst' in step) || step.checkFirst !== true) return [];
    const service = step.backend as ServiceName;
    const id = step.server.name as InstanceId;
    const line = served.backends.get(service)?.servers.get(id);
    return line === undefined ? [] : [{ service, id, line }];
  });
}
