import { type Awaited, type BarrierState, describeObstacle } from '../fleet/barrier.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Instance } from '../model/instance.ts';
import { overrideKey } from '../model/key.ts';
import { type Override, type OverrideTarget, parseOverride, takesOut } from '../model/override.ts';
import type { Revision } from '../model/revision.ts';
import { writeOverride } from '../operate/write-override.ts';
import type { Entry, Registry } from '../registry/registry.ts';

export type DrainsParts = {
  readonly registry: Registry;
  readonly fleet: Fleet;
  /** `user@host`, for others to ask. */
  readonly who: string;
  /** The reason that others read: `pointsman stop web-1`. */
  readonly why: string;
  /** The time of day, in ms. */
  readonly wall: () => number;
};

type Subject = Pick<Instance, 'service' | 'id'>;

/** A drain that stands, and the override that it replaced. */
type Standing = {
  readonly target: OverrideTarget;
  readonly revision: Revision;
  readonly replaced: Entry | undefined;
  /** An operator took the instance out before, so the override is the operator's. */
  readonly foreign: boolean;
};

/** The drains of a command, by overrides. Each ends by itself, so that no instance stays out when the command is killed. */
export class Drains {
  readonly #parts: DrainsParts;
  readonly #standing = new Map<string, Standing>();

  constructor(parts: DrainsParts) {
    this.#parts = parts;
  }

  /** Drains these instances for at most `lastsMs`. Rejects with a Fault; some of them may be drained then. */
  async begin(instances: readonly Subject[], lastsMs: number): Promise<void> {
    await Promise.all(instances.map((instance) => this.#begin(instance, lastsMs)));
  }

  /**
   * Resolves when no balancer sends it requests and none is open, or with what is missing when `signal` aborts: `lb-1 has 2 open
   * requests (web/web-1)`.
   */
  async drained(
    { service, id }: Subject,
    signal: AbortSignal,
    onProgress: (missing: readonly string[]) => void,
  ): Promise<readonly string[]> {
    const name = nameOf({ service, id });
    const revision = this.#standing.get(name)?.revision;
    if (revision === undefined) return [];
    const awaited: Awaited = { goal: 'drained', service, id, revision };
    const missing = (verdict: BarrierState) => missingOf(verdict, name);
    return missing(await this.#parts.fleet.wait(awaited, signal, (verdict) => onProgress(missing(verdict))));
  }

  /** The instances that are drained, or may be: `web/web-1`. */
  get standing(): readonly string[] {
    return [...this.#standing.keys()];
  }

  async #begin({ service, id }: Subject, lastsMs: number): Promise<void> {
    const { registry, who, why, wall } = this.#parts;
    const target: OverrideTarget = { service, scope: id };
    const key = overrideKey(service, id);
    const { entries } = await registry.read(key);
    const replaced = entries.find((entry) => entry.key === key);
    const before = replaced === undefined ? undefined : parseOverride(replaced.value);
    if (replaced !== undefined && before?.ok === true && takesOut(before.value) && before.value.until === undefined) {
      this.#standing.set(nameOf({ service, id }), { target, revision: replaced.revision, replaced, foreign: true });
      return;
    }
    const at = wall();
    const drain: Override = { effect: { kind: 'drain' }, who, why, at, until: at + lastsMs };
    const revision = await writeOverride(registry, target, drain, at);
    this.#standing.set(nameOf({ service, id }), { target, revision, replaced, foreign: false });
  }

  /**
   * Ends the drain of an instance. The override that stood before is in force again, and one of the meantime stays. Resolves with the
   * revision, or undefined when nothing was to be changed.
   */
  async end(instance: Subject): Promise<Revision | undefined> {
    const name = nameOf(instance);
    const standing = this.#standing.get(name);
    if (standing === undefined) return undefined;
    this.#standing.delete(name);
    const { registry, wall } = this.#parts;
    const { target, revision, replaced, foreign } = standing;
    if (foreign) return undefined;
    const key = overrideKey(target.service, target.scope);
    const before = replaced === undefined ? undefined : parseOverride(replaced.value);
    const at = wall();
    if (before?.ok !== true || (before.value.until ?? Number.POSITIVE_INFINITY) <= at) {
      return registry.replace(key, undefined, revision);
    }
    const { entries } = await registry.read(key);
    const isOurs = entries.some((entry) => entry.key === key && entry.revision === revision);
    return isOurs ? writeOverride(registry, target, before.value, at) : undefined;
  }
}

/** `web/web-1`. */
export const nameOf = ({ service, id }: Subject): string => `${service}/${id}`;

function missingOf(verdict: BarrierState, name: string): readonly string[] {
  switch (verdict.kind) {
    case 'unheard':
      return [`the registry does not answer: ${verdict.reason}`];
    case 'nobody':
    case 'reached':
      return [];
    case 'waiting':
      return verdict.missing.map(({ balancer, obstacle }) => `${balancer} ${describeObstacle(obstacle)} (${name})`);
  }
}
