import { describe } from '../model/fault.ts';
import { type ContainerNow, containersNow, describeNow, describeTodo } from './containers-now.ts';
import { type RolloutPlan, whyRefused } from './refusal.ts';
import type { RemovalResult, RolloutHost, StepResult } from './rollout-host.ts';
import { type ContainerChanges, changesBetween, namesOf, type ServingContainer } from './service-containers.ts';

type Containers = readonly ServingContainer[];

/** What happens in a rollout, in the order of time. */
export type RolloutEvent =
  | { readonly kind: 'draining' | 'served' | 'removed' | 'undrained' | 'kept'; readonly containers: readonly string[] }
  | { readonly kind: 'command'; readonly scale: number }
  | { readonly kind: 'going-back'; readonly because: string }
  | { readonly kind: 'started'; readonly containers: readonly string[] }
  /** The command stopped old containers that still got requests. */
  | { readonly kind: 'unguarded'; readonly containers: readonly string[] };

/** How a rollout on one host ended. `error`: what a step rejected with. */
export type RolloutEnd =
  | { readonly kind: 'done'; readonly started: readonly string[]; readonly removed: readonly string[] }
  /** It did not begin. */
  | { readonly kind: 'refused'; readonly because: string; readonly error?: unknown }
  /** The old containers, `serving`, are as before, and no new one is left. */
  | {
      readonly kind: 'back';
      readonly because: string;
      readonly serving: readonly string[];
      readonly error?: unknown;
    }
  /** Something was changed that pointsman cannot undo. */
  | {
      readonly kind: 'stuck';
      readonly because: string;
      /** The containers in words. */
      readonly now: string;
      /** For the operator. */
      readonly todo: string;
      readonly containers: readonly ContainerNow[];
      readonly error?: unknown;
    };

/**
 * Replaces the containers of a service on one host. With `start-first` no old container is drained before every balancer serves the
 * new ones; with `stop-first` the command does not run before the old ones are drained and others serve. pointsman stops a container
 * only when no balancer has an open request of it. Never rejects: an engine or a registry that does not answer makes it go back, or
 * ends it as `stuck` when containers may have been stopped.
 */
export function rollOut(host: RolloutHost, plan: RolloutPlan, say: (event: RolloutEvent) => void): Promise<RolloutEnd> {
  return new Rollout(host, plan, say).run();
}

class Rollout {
  readonly #host: RolloutHost;
  readonly #plan: RolloutPlan;
  readonly #say: (event: RolloutEvent) => void;
  /** Undefined: nothing was done yet. */
  #before: Containers | undefined;
  #last: Containers = [];
  #commandRan = false;
  /** Undefined after the command: the engine has not said what the command did. */
  #changes: ContainerChanges | undefined;
  /** Those that are drained, or may be. */
  #drained: Containers = [];
  /** Containers may have been stopped. */
  #removes = false;
  /** Another rollout has begun. */
  #isAlone = true;
  /** Why it goes back. */
  #back: string | undefined;

  constructor(host: RolloutHost, plan: RolloutPlan, say: (event: RolloutEvent) => void) {
    this.#host = host;
    this.#plan = plan;
    this.#say = say;
  }

  async run(): Promise<RolloutEnd> {
    try {
      return await this.#replace();
    } catch (error) {
      return this.#afterError(error);
    }
  }

  async #replace(): Promise<RolloutEnd> {
    const host = this.#host;
    const before = await this.#look();
    const refusal = await whyRefused(this.#plan, host, before);
    if (refusal !== undefined) return { kind: 'refused', because: refusal };
    // The rollout of the host before took minutes.
    const alone = await host.alone();
    if (!alone.ok) return { kind: 'refused', because: alone.because };
    const old = before.filter(({ active }) => active);
    const isGuarded = this.#plan.order === 'stop-first' && old.length > 0;
    if (isGuarded) {
      const others = await host.othersServe(old);
      if (!others.ok) return { kind: 'refused', because: others.because };
    }
    this.#before = before;
    this.#changes = { fresh: [], left: old, lost: [] };
    if (isGuarded) {
      const drained = await this.#drain(old);
      if (!drained.ok) return this.#goBack(drained.because);
      const stillAlone = await host.alone();
      if (!stillAlone.ok) return this.#goBack(stillAlone.because);
    }
    const scale = Math.max(1, this.#plan.order === 'start-first' ? 2 * old.length : old.length);
    const changes = await this.#runCommand(scale, before);
    return 'kind' in changes ? changes : this.#exchange(changes, isGuarded ? old : []);
  }

  /** Runs the command. Resolves with what it changed, or with the end if it did not start what it was to start. */
  async #runCommand(scale: number, before: Containers): Promise<ContainerChanges | RolloutEnd> {
    this.#say({ kind: 'command', scale });
    this.#commandRan = true;
    this.#changes = undefined;
    const exitCode = await this.#host.runCommand(scale);
    const changes = changesBetween(before, await this.#look());
    this.#changes = changes;
    if (exitCode !== 0) return this.#goBack(`the command ended with ${exitCode}`);
    if (changes.fresh.length === 0) return this.#goBack('the command started no new container');
    this.#say({ kind: 'started', containers: namesOf(changes.fresh) });
    return changes;
  }

  /** Makes the new containers serve instead of the old ones. `guarded`: those that were drained before the command. */
  async #exchange({ fresh, left, lost }: ContainerChanges, guarded: Containers): Promise<RolloutEnd> {
    const host = this.#host;
    const unguarded = without(lost, guarded);
    if (lost.length > 0) {
      if (unguarded.length > 0) this.#say({ kind: 'unguarded', containers: namesOf(unguarded) });
      // A new container may have the instance's id of an old one, and with it the drain.
      await this.#forget(lost);
    }
    const served = await host.served(fresh);
    if (!served.ok) return this.#goBack(served.because);
    this.#say({ kind: 'served', containers: namesOf(fresh) });
    // With stop-first, those that the command started again are not drained yet.
    const serving = without(left, guarded);
    if (serving.length > 0) {
      const drained = await this.#drain(serving);
      if (!drained.ok) return this.#goBack(drained.because);
    }
    const ended = await this.#endedOf(fresh);
    if (ended.length > 0) return this.#goBack(`${ended.join(', ')} ended while the old ones were drained`);
    if (left.length > 0) {
      const removed = await this.#remove(left);
      if (!removed.ok) return removed.refused ? this.#goBack(removed.because) : this.#stuck(removed.because);
    }
    if (unguarded.length > 0) {
      return this.#stuck(`the command itself stopped ${namesOf(unguarded).join(', ')}, so requests may have failed`);
    }
    return { kind: 'done', started: namesOf(fresh), removed: [...namesOf(lost), ...namesOf(left)] };
  }

  /** The new containers that do not run any more: the old ones are not removed then. */
  async #endedOf(fresh: Containers): Promise<readonly string[]> {
    const running = new Set((await this.#look()).filter(({ active }) => active).map(({ id }) => id));
    return namesOf(fresh.filter(({ id }) => !running.has(id)));
  }

  async #look(): Promise<Containers> {
    this.#last = await this.#host.containers();
    return this.#last;
  }

  #drain(containers: Containers): Promise<StepResult> {
    this.#drained = [...this.#drained, ...containers];
    if (this.#back === undefined) this.#say({ kind: 'draining', containers: namesOf(containers) });
    return this.#host.drain(containers);
  }

  async #undrain(containers: Containers): Promise<void> {
    await this.#host.undrain(containers);
    this.#drained = without(this.#drained, containers);
  }

  async #forget(containers: Containers): Promise<void> {
    await this.#host.forget(containers);
    this.#drained = without(this.#drained, containers);
  }

  /** Stops and removes drained containers. Those count as removed that do not exist any more, whatever the engine answered. */
  async #remove(containers: Containers): Promise<RemovalResult> {
    const alone = await this.#host.alone();
    if (!alone.ok) {
      this.#isAlone = false;
      await this.#undrain(containers);
      this.#say({ kind: 'undrained', containers: namesOf(containers) });
      return { ...alone, refused: false };
    }
    this.#removes = true;
    const removal = await this.#host.remove(containers);
    const there = removal.ok ? [] : await this.#look();
    const left = containers.filter(({ id }) => there.some((one) => one.id === id));
    const gone = without(containers, left);
    if (gone.length > 0) {
      await this.#forget(gone);
      this.#say({ kind: 'removed', containers: namesOf(gone) });
    }
    if (removal.ok || left.length === 0) return { ok: true };
    const isUntouched =
      removal.refused && containers.every(({ id }) => there.some((one) => one.id === id && one.active));
    if (isUntouched) this.#removes = false;
    return { ok: false, because: removal.because, refused: isUntouched };
  }

  /** The old containers get requests again first. Then the new ones leave as the old ones would have left. */
  async #goBack(because: string, error?: unknown): Promise<RolloutEnd> {
    this.#back = because;
    this.#host.goesBack();
    this.#say({ kind: 'going-back', because });
    const { fresh, left, lost } = this.#changes ?? (await this.#changesOfCommand());
    const drained = left.filter(({ id }) => this.#drained.some((one) => one.id === id));
    if (drained.length > 0) {
      await this.#undrain(drained);
      this.#say({ kind: 'undrained', containers: namesOf(drained) });
    }
    if (lost.length > 0) {
      await this.#forget(lost);
      return this.#stuck(because, error);
    }
    const back = (): RolloutEnd => {
      const running = new Set(this.#last.filter(({ active }) => active).map(({ id }) => id));
      return { kind: 'back', because, serving: namesOf(left.filter(({ id }) => running.has(id))), error };
    };
    if (fresh.length === 0) return back();
    // They are not drained while the engine does not answer: some may serve, and could not be removed.
    const there = new Set((await this.#look()).map(({ id }) => id));
    const leaving = fresh.filter(({ id }) => there.has(id));
    if (leaving.length === 0) return back();
    const leave = await this.#drain(leaving);
    const removed = leave.ok ? await this.#remove(leaving) : { ...leave, refused: true };
    if (removed.ok) return back();
    if (removed.refused) {
      await this.#undrain(leaving);
      this.#say({ kind: 'kept', containers: namesOf(leaving) });
    }
    return this.#stuck(`${because}; the new containers could not leave: ${removed.because}`, error);
  }

  async #changesOfCommand(): Promise<ContainerChanges> {
    this.#changes = changesBetween(this.#before ?? [], await this.#look());
    return this.#changes;
  }

  async #afterError(error: unknown): Promise<RolloutEnd> {
    const because = describe(error);
    if (this.#before === undefined) return { kind: 'refused', because, error };
    if (this.#back !== undefined) return this.#stuck(`${this.#back}; going back failed: ${because}`, error);
    if (this.#removes) return this.#stuck(because, error);
    try {
      return await this.#goBack(because, error);
    } catch (second) {
      return this.#stuck(`${because}; going back failed: ${describe(second)}`, error);
    }
  }

  async #stuck(because: string, error?: unknown): Promise<RolloutEnd> {
    const host = this.#host;
    const isKnown = await this.#look().then(
      () => true,
      () => false,
    );
    const before = this.#before ?? [];
    const { fresh, left, lost } = this.#changes ?? changesBetween(before, this.#last);
    const containers = containersNow({
      old: before.filter((one) => one.active || left.includes(one)),
      ...{ last: this.#last, fresh, lost },
      drainEnds: (one) => host.drainEnds(one),
    });
    const now = describeNow(containers, isKnown);
    const todo = describeTodo(containers, {
      ...{ isKnown, isAlone: this.#isAlone, goesBack: this.#back !== undefined, commandRan: this.#commandRan },
    });
    return { kind: 'stuck', because, now, todo, containers, error };
  }
}

const without = (containers: Containers, others: Containers): Containers =>
  containers.filter(({ id }) => others.every((one) => one.id !== id));
