import { setMaxListeners } from 'node:events';
import { describeVanished } from '../fleet/barrier.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { describe } from '../model/fault.ts';
import type { Instance } from '../model/instance.ts';
import { formatDuration } from '../model/quantity.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import type { ContainerInstances } from './container-instances.ts';
import { type Drains, nameOf } from './drains.ts';
import type { StepResult } from './rollout-host.ts';
import type { ServingContainer } from './service-containers.ts';

export type ContainerDrainsParts = {
  readonly instances: ContainerInstances;
  readonly drains: Drains;
  readonly fleet: Fleet;
  /** How long balancers may have open requests, in ms. */
  readonly drainTimeoutMs: number;
  /** When a drain ends by itself, in ms: the command was killed. */
  readonly lastsMs: number;
  /** Go on when requests are still open after that time. */
  readonly force: boolean;
  /** Said again and again: what is waited for. */
  readonly onProgress: (text: string) => void;
  readonly onWarning: (text: string) => void;
};

type Container = Pick<ServingContainer, 'id' | 'name' | 'services'>;

/** The agent sees the end of a container at once, and without an agent the lease ends after 10 s by default. */
const goneMs = 15_000;
/** A balancer applies the end of a drain in milliseconds. */
const undrainedMs = 5000;

/** Drains containers: all instances that an agent registered for them. */
export class ContainerDrains {
  readonly #parts: ContainerDrainsParts;
  /** The drained instances, by container: the registry forgets them before their drain ends. */
  readonly #drained = new Map<string, readonly Instance[]>();
  /** The balancers that vanished before they had drained a container, by container. */
  readonly #vanished = new Map<string, readonly string[]>();

  constructor(parts: ContainerDrainsParts) {
    this.#parts = parts;
  }

  /** Resolves when every balancer has acknowledged the drain and has no open request of the containers. */
  async drain(containers: readonly Container[], signal: AbortSignal | undefined): Promise<StepResult> {
    const { instances, drains, drainTimeoutMs, lastsMs, force, onProgress, onWarning } = this.#parts;
    const limit = timeLimit(drainTimeoutMs, signal);
    // Each instance listens to it.
    setMaxListeners(0, limit);
    instances.follow(containers.flatMap(({ services }) => services));
    const known = await instances.until(() => true, limit);
    if (known === undefined)
      return { ok: false, because: whyNot(signal, this.#silence() ?? 'the registry did not answer') };
    const all: Instance[] = [];
    for (const container of containers) {
      const own = instances.ofContainers([container]).map(({ instance }) => instance);
      this.#drained.set(container.id, own);
      all.push(...own);
    }
    try {
      await drains.begin(all, lastsMs, signal);
    } catch (error) {
      if (signal?.aborted === true) return { ok: false, because: whyNot(signal, describe(error)) };
      throw error;
    }
    const missing = new Map<string, readonly string[]>();
    const vanished = new Map<string, readonly string[]>();
    const open = () => [...missing.values()].flat().sort();
    await Promise.all(
      all.map(async (instance) => {
        const name = nameOf(instance);
        const drained = await this.#drainedOne(instance, limit, (now) => {
          missing.set(name, now);
          onProgress(`draining: ${open().join('; ')}`);
        });
        missing.set(name, drained.missing);
        vanished.set(name, drained.vanished);
      }),
    );
    for (const { id } of containers) {
      const own = (this.#drained.get(id) ?? []).flatMap((instance) => vanished.get(nameOf(instance)) ?? []);
      this.#vanished.set(id, [...new Set(own)].sort());
    }
    const lost = describeVanished([...new Set([...vanished.values()].flat())].sort());
    if (lost !== undefined) onWarning(lost);
    if (open().length === 0) return { ok: true };
    const away = this.#silence();
    const because = `not drained within ${formatDuration(drainTimeoutMs)}: ${few(away === undefined ? open() : [away, ...open()])}`;
    if (!force || signal?.aborted === true) return { ok: false, because: whyNot(signal, because) };
    onWarning(`${because}; going on, because of --force`);
    return { ok: true };
  }

  /** Ends the drain of containers that go on, and waits until every balancer sends them requests again. */
  async undrain(containers: readonly Container[]): Promise<void> {
    const { drains, fleet } = this.#parts;
    await Promise.all(
      this.#instancesOf(containers).map(async (instance) => {
        const revision = await drains.end(instance);
        if (revision !== undefined) await fleet.wait({ ...instance, goal: 'serves', revision }, timeLimit(undrainedMs));
      }),
    );
    this.#drop(containers);
  }

  /** When the drain of a container ends by itself, in ms since 1970; undefined: this process does not drain it. */
  ends({ id }: Pick<Container, 'id'>): number | undefined {
    const { standing } = this.#parts.drains;
    const ends = (this.#drained.get(id) ?? []).flatMap((instance) => standing.get(nameOf(instance)) ?? []);
    return ends.length === 0 ? undefined : Math.max(...ends);
  }

  /** The balancers that vanished before they had drained a container: their HAProxy may still send it requests. */
  vanished({ id }: Pick<Container, 'id'>): readonly string[] {
    return this.#vanished.get(id) ?? [];
  }

  /**
   * Ends the drain of containers that do not run any more, when their agent has taken their instances out of the registry. Never
   * rejects: a drain that stays ends by itself.
   */
  async forget(containers: readonly Container[]): Promise<void> {
    const { instances, drains, onWarning } = this.#parts;
    const gone = await instances.until(
      (now) => (now.ofContainers(containers).length === 0 ? true : undefined),
      timeLimit(goneMs),
    );
    const subjects = this.#instancesOf(containers);
    const names = subjects.map(nameOf).join(', ');
    if (gone === true) {
      await Promise.all(subjects.map((instance) => drains.end(instance))).catch((error: unknown) =>
        onWarning(`the drain of ${names} could not be ended, and ends by itself: ${describe(error)}`),
      );
    } else if (subjects.length > 0) {
      onWarning(`${names} stay in the registry although the containers do not run; their drain ends by itself`);
    }
    this.#drop(containers);
  }

  #instancesOf(containers: readonly Container[]): readonly Instance[] {
    return containers.flatMap(({ id }) => this.#drained.get(id) ?? []);
  }

  #drop(containers: readonly Container[]): void {
    for (const { id } of containers) this.#drained.delete(id);
  }

  /** Why the registry is not followed at the moment. */
  #silence(): string | undefined {
    const { away } = this.#parts.fleet.view;
    return away === undefined ? undefined : `the registry does not answer: ${away}`;
  }

  /** One that leaves the registry by itself, because its check fails, has nothing to acknowledge any more. */
  async #drainedOne(
    instance: Instance,
    limit: AbortSignal,
    onProgress: (missing: readonly string[]) => void,
  ): ReturnType<Drains['drained']> {
    const { instances, drains } = this.#parts;
    const over = new AbortController();
    const stop = AbortSignal.any([limit, over.signal]);
    const isThere = (now: ContainerInstances) => now.ofService(instance.service).some((one) => one.instance.id === instance.id); // biome-ignore format: one idea
    void instances
      .until((now) => (isThere(now) ? undefined : true), stop)
      .then((gone) => {
        if (gone === true) over.abort();
      });
    const drained = await drains.drained(instance, stop, onProgress);
    const isGone = over.signal.aborted;
    over.abort();
    return isGone ? { ...drained, missing: [] } : drained;
  }
}

const whyNot = (signal: AbortSignal | undefined, because: string): string =>
  signal?.aborted === true ? 'a signal stopped the command' : because;

/** At most five of them. */
function few(all: readonly string[]): string {
  const more = all.length > 5 ? `; and ${all.length - 5} more` : '';
  return `${all.slice(0, 5).join('; ')}${more}`;
}
