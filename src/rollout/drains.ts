import { type Awaited, type BarrierState, describeObstacle } from '../fleet/barrier.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Instance } from '../model/instance.ts';
import { overrideKey } from '../model/key.ts';
import { formatOverride, type Override, type OverrideTarget, parseOverride, takesOut } from '../model/override.ts';
import type { Revision } from '../model/revision.ts';
import { writeOverride } from '../operate/write-override.ts';
import type { Entry, Registry } from '../registry/registry.ts';
import { timeLimit } from '../waiting/time-limit.ts';

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

/** What is missing, as clauses, and the balancers that vanished before they had drained it. */
type Drained = { readonly missing: readonly string[]; readonly vanished: readonly string[] };

/** A drain that stands, or may stand, and the override that it replaced. */
type Standing = {
  readonly target: OverrideTarget;
  readonly value: string;
  /** Undefined: the registry has not answered that it is written. */
  readonly revision: Revision | undefined;
  /** When it ends by itself, in ms since 1970; undefined: when an operator ends it. */
  readonly until: number | undefined;
  readonly replaced: Entry | undefined;
  /** An operator took the instance out before, so the override is the operator's. */
  readonly foreign: boolean;
};

/** The registry repeats a call for so long while it does not answer: an election in etcd takes 1 to 3 s, a restart some more. */
const answerMs = 30_000;

/** The drains of a command, by overrides. Each ends by itself, so that no instance stays out when the command is killed. */
export class Drains {
  readonly #parts: DrainsParts;
  readonly #standing = new Map<string, Standing>();

  constructor(parts: DrainsParts) {
    this.#parts = parts;
  }

  /** Drains these instances for at most `lastsMs`. Rejects with a Fault; some of them may be drained then. */
  async begin(instances: readonly Subject[], lastsMs: number, signal: AbortSignal | undefined): Promise<void> {
    const limit = timeLimit(answerMs, signal);
    const begun = await Promise.allSettled(instances.map((instance) => this.#begin(instance, lastsMs, limit)));
    // Each is known to be drained or not before anything ends it.
    for (const one of begun) if (one.status === 'rejected') throw one.reason;
  }

  /**
   * Resolves when no balancer sends it requests and none is open, or with what is missing when `signal` aborts: `lb-1 has 2 open
   * requests (web/web-1)`. A balancer that vanishes is not waited for.
   */
  async drained(
    { service, id }: Subject,
    signal: AbortSignal,
    onProgress: (missing: readonly string[]) => void,
  ): Promise<Drained> {
    const name = nameOf({ service, id });
    const revision = this.#standing.get(name)?.revision;
    if (revision === undefined) return { missing: [], vanished: [] };
    const awaited: Awaited = { goal: 'drained', service, id, revision };
    const missing = (verdict: BarrierState) => missingOf(verdict, name);
    const verdict = await this.#parts.fleet.wait(awaited, signal, (now) => onProgress(missing(now)));
    return { missing: missing(verdict), vanished: verdict.vanished };
  }

  /** The instances that are drained, or may be, `web/web-1`, each with when that ends by itself, in ms since 1970. */
  get standing(): ReadonlyMap<string, number | undefined> {
    return new Map([...this.#standing].map(([name, { until }]) => [name, until]));
  }

  async #begin({ service, id }: Subject, lastsMs: number, limit: AbortSignal): Promise<void> {
    const { registry, who, why, wall } = this.#parts;
    const target: OverrideTarget = { service, scope: id };
    const replaced = await this.#entryOf(target, limit);
    const before = replaced === undefined ? undefined : parseOverride(replaced.value);
    if (replaced !== undefined && before?.ok === true && takesOut(before.value) && before.value.until === undefined) {
      const { revision, value } = replaced;
      this.#standing.set(nameOf({ service, id }), {
        target,
        value,
        revision,
        until: undefined,
        replaced,
        foreign: true,
      });
      return;
    }
    const at = wall();
    const until = at + lastsMs;
    const drain: Override = { effect: { kind: 'drain' }, who, why, at, until };
    const standing = { target, value: formatOverride(drain), until, replaced, foreign: false };
    // A write without an answer may have happened.
    this.#standing.set(nameOf({ service, id }), { ...standing, revision: undefined });
    const revision = await writeOverride(registry, target, drain, at, limit);
    this.#standing.set(nameOf({ service, id }), { ...standing, revision });
  }

  /**
   * Ends the drain of an instance. The override that stood before is in force again, and one of the meantime stays. Resolves with the
   * revision, or undefined when nothing was to be changed. Rejects with a Fault; the drain may stand then.
   */
  async end(instance: Subject): Promise<Revision | undefined> {
    const name = nameOf(instance);
    const standing = this.#standing.get(name);
    if (standing === undefined) return undefined;
    const revision = standing.foreign ? undefined : await this.#end(standing, timeLimit(answerMs));
    this.#standing.delete(name);
    return revision;
  }

  async #end({ target, value, replaced }: Standing, limit: AbortSignal): Promise<Revision | undefined> {
    const { registry, wall } = this.#parts;
    const now = await this.#entryOf(target, limit);
    if (now?.value !== value) return undefined;
    const before = replaced === undefined ? undefined : parseOverride(replaced.value);
    const at = wall();
    if (before?.ok !== true || (before.value.until ?? Number.POSITIVE_INFINITY) <= at) {
      return registry.replace(now.key, undefined, now.revision, limit);
    }
    return writeOverride(registry, target, before.value, at, limit);
  }

  async #entryOf({ service, scope }: OverrideTarget, limit: AbortSignal): Promise<Entry | undefined> {
    const key = overrideKey(service, scope);
    const { entries } = await this.#parts.registry.read(key, limit);
    return entries.find((entry) => entry.key === key);
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
