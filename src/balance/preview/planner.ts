import type { Catalog } from '../../catalog/catalog.ts';
import { withSiblings } from '../../catalog/split.ts';
import { type Plan, planChanges } from '../../haproxy/plan.ts';
import { allDirty, type DirtySet, DirtySetBuilder } from '../../model/dirty-set.ts';
import { describe } from '../../model/fault.ts';
import { areaOfKey } from '../../model/key.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import { withPaced } from '../../render/check-pace.ts';
import { type RenderResult, renderAll, renderDirty, type Templating } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { Locating } from '../addresses/locating.ts';
import { answerReader } from '../quarantine/candidates.ts';
import type { Requested } from '../quarantine/quarantine.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { Balancer } from '../reconcile/balancer.ts';
import type { StateFiles } from '../state/state-files.ts';
import {
  changedRoutes,
  concerned,
  describedPlan,
  type EntryChange,
  listed,
  newConflicts,
  type PlanAnswer,
  quarantinedAmong,
  rejectedAmong,
  unrenderedOf,
  type Validation,
} from './plan-answer.ts';
import { eventOf, foldedWith, type PlannedCatalogParts, requestedWith } from './planned-catalog.ts';
import { type Preview, previewRequested } from './preview.ts';
import { piecesOf, Turns } from './turns.ts';

export type PlannerParts = PlannedCatalogParts & {
  readonly balancer: Pick<Balancer, 'planBasis'>;
  readonly locating: Pick<Locating, 'permitted'>;
  readonly quarantining: Pick<Quarantining, 'preview'>;
  readonly files: Pick<StateFiles, 'check'>;
  readonly baseSettings: BaseSettings;
  readonly haproxyVersion: () => string | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** An answer, or why there is none now and when to ask again. */
export type Planned =
  | { readonly kind: 'answer'; readonly answer: PlanAnswer }
  | { readonly kind: 'busy'; readonly reason: string; readonly retryMs: number };

type Basis = ReturnType<Balancer['planBasis']>;
export type Question = { readonly changes: readonly EntryChange[]; readonly validate: boolean };

const sliceMs = 10;
/** The services that are rendered without a pause in between. */
const mostServices = 10;
/** Planning takes this part of a processor at most, however often somebody asks; more after a plan that took seconds. */
const mostShare = 0.2;
const retryMs = 1000;
/** A plan that took long must not keep everybody else from one for minutes. */
const mostRestMs = 10_000;

/** Answers what HAProxy would do if entries of the registry changed. Changes nothing. One answer at a time. */
export class Planner {
  readonly #parts: PlannerParts;
  #planning = false;
  /** When the next answer may begin. */
  #restsUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: PlannerParts) {
    this.#parts = parts;
  }

  /** Why there is no answer now; undefined if a plan can begin. */
  busy(): Extract<Planned, { kind: 'busy' }> | undefined {
    const { balancer, now } = this.#parts;
    if (this.#planning) return { kind: 'busy', reason: 'this balancer makes another plan', retryMs };
    const restMs = this.#restsUntil - now();
    if (restMs > 0) return { kind: 'busy', reason: 'this balancer made a plan a moment ago', retryMs: restMs };
    if (balancer.planBasis().known) return undefined;
    return { kind: 'busy', reason: 'this balancer does not know what HAProxy serves now', retryMs };
  }

  /**
   * `read` gives the question; its time counts too, also if it throws. `validate`: has HAProxy test the configuration, if the changes
   * need a reload. Ends early when the signal aborts. Rejects with Fault `template`, and with what `read` throws.
   */
  async plan(read: () => Question, signal: AbortSignal): Promise<Planned> {
    const { balancer, now } = this.#parts;
    const busy = this.busy();
    if (busy !== undefined) return busy;
    this.#planning = true;
    const turns = new Turns(now, sliceMs, signal);
    try {
      const question = read();
      await turns.next();
      return { kind: 'answer', answer: await this.#answer(balancer.planBasis(), question, turns) };
    } catch (error) {
      if (!signal.aborted) throw error;
      return { kind: 'busy', reason: 'the question was withdrawn', retryMs };
    } finally {
      this.#planning = false;
      this.#restsUntil = now() + Math.min(mostRestMs, turns.busyMs * (1 / mostShare - 1));
    }
  }

  async #answer(basis: Basis, { changes, validate }: Question, turns: Turns): Promise<PlanAnswer> {
    const { baseSettings, locating, haproxyVersion } = this.#parts;
    const { desired, served, pendingRemovals } = basis;
    const { event, held } = eventOf(this.#parts, changes, basis.catalog);
    const folded = await foldedWith(this.#parts, basis.catalog, event, turns);
    const { requested, unserved } = await requestedWith(this.#parts, basis, folded, turns);
    const { quarantine, dirty, all } = this.#review(requested, folded.dirty, desired);
    const found = await previewRequested(requested, {
      ...{ quarantine, baseSettings, before: { desired, served } },
      permitted: (catalog, names) => locating.permitted(catalog, names),
      render: async (templating, catalog) =>
        all
          ? renderAll(templating, baseSettings, desired, catalog)
          : renderedInTurns({ templating, baseSettings, desired, catalog, dirty, turns }),
    });
    await turns.next();
    const differing = all ? allDirty([...served.backends.keys(), ...found.desired.backends.keys()]) : dirty;
    const planTo = (target: Rendered, catalog: Catalog) =>
      planChanges(served, target, differing, pendingRemovals, basis.conditions(catalog));
    const plan = planTo(found.desired, found.catalog);
    await turns.next();
    const others = planTo(desired, basis.catalog);
    await turns.next();
    const validation = await turns.others(() => this.#validate(basis, requested, found, { plan, validate }));
    return {
      haproxy: haproxyVersion(),
      revision: String(basis.catalog.revision),
      ...describedPlan(plan, others),
      routes: changedRoutes(desired, found.desired),
      conflicts: newConflicts(basis.conflicts, found.conflicts),
      ...concerned(dirty, requested.catalog, [
        ...rejectedAmong(changes, folded.catalog),
        ...unserved,
        ...unrenderedOf(found),
        ...quarantinedAmong(quarantine, dirty),
      ]),
      held: listed(held),
      pending: basis.pending,
      validation,
    };
  }

  /** The quarantine that the changes lead to, and what has to be rendered. */
  #review(requested: Requested, changed: DirtySet, desired: Rendered) {
    const { quarantine, services, all } = this.#parts.quarantining.preview(requested);
    const dirty = new DirtySetBuilder();
    dirty.add(changed);
    for (const name of services) dirty.service(name);
    const { catalog } = requested;
    return { quarantine, all, dirty: withPaced(withSiblings(dirty.take(), catalog), catalog, desired) };
  }

  async #validate(
    { desired, served, reloading }: Basis,
    requested: Requested,
    found: Preview,
    { plan, validate }: { readonly plan: Plan; readonly validate: boolean },
  ): Promise<Validation> {
    const skipped = (reason: string): Validation => ({ kind: 'skipped', reason });
    if (!validate) return skipped('nobody asked for it');
    if (plan.reload.length === 0) return skipped('no reload is needed');
    if (reloading) return skipped('HAProxy validates or loads another configuration now');
    const { files } = this.#parts;
    try {
      const checked = await files.check(found.desired, { keep: false });
      if (checked.ok) return { kind: 'accepted' };
      const build = { requested, desired, served, cold: false };
      const named = answerReader(found.quarantine, build)(checked.problems, found.desired);
      const keys = [...named.keys()].filter((candidate) => areaOfKey(candidate) !== 'templates');
      return { kind: 'refused', reason: checked.reason, keys };
    } catch (error) {
      return skipped(describe(error));
    }
  }
}

type InTurns = {
  readonly templating: Templating;
  readonly baseSettings: BaseSettings;
  readonly desired: Rendered;
  readonly catalog: Catalog;
  readonly dirty: DirtySet;
  readonly turns: Turns;
};

/** `renderDirty`, some services at a time. */
async function renderedInTurns(parts: InTurns): Promise<RenderResult> {
  const { templating, baseSettings, desired, catalog, dirty, turns } = parts;
  let result: RenderResult = { rendered: desired, problems: [], conflicts: undefined };
  for (const some of piecesOf(dirty, mostServices)) {
    await turns.next();
    const next = renderDirty(templating, baseSettings, result.rendered, catalog, new Map(some));
    const { rendered, conflicts = result.conflicts } = next;
    result = { rendered, conflicts, problems: [...result.problems, ...next.problems] };
  }
  return result;
}
