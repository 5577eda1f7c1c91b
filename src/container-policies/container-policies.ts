import { carryOut } from '../apply/carry-out.ts';
import type { ApplyProblem } from '../apply/plan-apply.ts';
import type { Declared } from '../declarations/declared.ts';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { describe } from '../model/fault.ts';
import { policyKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import { parseSetName, type SetName } from '../model/set-name.ts';
import { type Entry, type Follower, keysFrom, type Registry, type RegistryEvent } from '../registry/registry.ts'; // biome-ignore format: one line
import { backoffMs } from '../waiting/backoff.ts';
import { SerialQueue } from '../waiting/serial-queue.ts';
import { type ChosenPolicy, type ContainerPolicy, choosePolicies, hostPolicies } from './choose-policies.ts';
import { HostEntries, type HostEntriesParts } from './host-entries.ts';

export type ContainerPoliciesParts = HostEntriesParts & {
  readonly registry: Registry;
  /**
   * How long a policy stays that no container asks for any more, in ms: a container that is made again is away for a moment, and a policy
   * that comes and goes costs a reload each.
   */
  readonly graceMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
};

/** The set that owns the policies of labels, of all hosts together. */
const setName = 'containers';
/** The host of the deciding container writes at once, and the others if it does not. */
const standInMs = 3000;
/** How often to compare with the registry, which somebody may have changed. */
const everyMs = 60_000;
/** The pause after the policies could not be written. */
const retry = { firstMs: 1000, mostMs: 15_000, jitter: 0.5 };

/** Keeps the policies of services as the labels of their containers ask, together with the agents of the other hosts. */
export class ContainerPolicies {
  readonly #parts: ContainerPoliciesParts;
  readonly #set: SetName;
  readonly #hostEntries: HostEntries;
  readonly #follower: Follower;
  readonly #writes = new SerialQueue();
  readonly #over = new AbortController();
  readonly #told = new OncePerReason();
  #entries: ReadonlyMap<string, Entry> | undefined;
  /** The policies that are to be there: also those that nobody has asked for since less than the time of grace. */
  readonly #wanted = new Map<
    ServiceName,
    { readonly chosen: ChosenPolicy; readonly absentSince: number | undefined }
  >();
  readonly #began: number;
  /** Why the registry is not followed; undefined while it is. */
  #away: string | undefined = 'it has not answered yet';
  /** Why the policies could not be written. */
  #unapplied: string | undefined;
  /** How often in a row. */
  #failures = 0;
  #conflicts: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;

  constructor(parts: ContainerPoliciesParts) {
    this.#parts = parts;
    this.#began = parts.now();
    const set = parseSetName(setName);
    if (!set.ok) throw new Error(set.reason);
    this.#set = set.value;
    this.#hostEntries = new HostEntries(parts);
    this.#follower = parts.registry.follow((event) => this.#take(event), keysFrom('labels/'));
  }

  /** Tells what the containers of this host ask for now, all of them. */
  update(asked: readonly ContainerPolicy[]): void {
    this.#hostEntries.update(hostPolicies(asked));
  }

  /** For metrics and readiness. */
  get state() {
    return { away: this.#away, unwritten: this.#hostEntries.unwritten ?? this.#unapplied, conflicts: this.#conflicts };
  }

  /** Leaves the registry as it is: the entries of this host end with their lease, so that a restart of the agent changes nothing. */
  async close(): Promise<void> {
    this.#over.abort();
    clearTimeout(this.#timer);
    await Promise.all([this.#follower.close(), this.#hostEntries.close(), this.#writes.idle()]);
  }

  #take(event: RegistryEvent): void {
    if (event.kind === 'connected') {
      this.#away = undefined;
      if (this.#unapplied !== undefined) this.#applyIn(0);
    }
    // A registry that refuses answers. Where labels ask for policies, the refusal of the write is reported.
    if (event.kind === 'disconnected') this.#away = event.denied === true ? undefined : event.reason;
    if (event.kind === 'snapshot') this.#entries = event.entries;
    if (event.kind === 'changes') {
      const entries = new Map(this.#entries);
      for (const change of event.changes) {
        if (change.kind === 'put') entries.set(change.entry.key, change.entry);
        else entries.delete(change.key);
      }
      this.#entries = entries;
    }
    if (this.#entries === undefined || (event.kind !== 'snapshot' && event.kind !== 'changes')) return;
    this.#hostEntries.follow(this.#entries);
    this.#choose();
  }

  #choose(): void {
    const { now, host, random } = this.#parts;
    const chosen = choosePolicies(this.#entries?.values() ?? []);
    for (const [service, { chosen: before, absentSince }] of this.#wanted) {
      if (!chosen.has(service)) this.#wanted.set(service, { chosen: before, absentSince: absentSince ?? now() });
    }
    let isOurs = false;
    let isNew = false;
    for (const [service, one] of chosen) {
      const changed = this.#wanted.get(service)?.chosen.policy !== one.policy;
      isNew ||= changed;
      isOurs ||= changed && one.host === host;
      this.#wanted.set(service, { chosen: one, absentSince: undefined });
    }
    if (isNew) this.#applyIn(isOurs ? 0 : standInMs * (1 + random()));
    else this.#applyIn(this.#nextMs());
  }

  #hasBegun(): boolean {
    const { now, graceMs } = this.#parts;
    return now() - this.#began >= graceMs;
  }

  /** Until the first time of grace ends, or the next comparison. */
  #nextMs(): number {
    const { now, graceMs } = this.#parts;
    const since = [...this.#wanted.values()].flatMap(({ absentSince }) => absentSince ?? []);
    if (!this.#hasBegun()) since.push(this.#began);
    return Math.max(1, Math.min(everyMs, ...since.map((at) => at + graceMs - now())));
  }

  #applyIn(ms: number): void {
    const at = this.#parts.now() + ms;
    if (at >= this.#dueAt || this.#over.signal.aborted) return;
    this.#dueAt = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      void this.#writes.run(() => this.#apply());
    }, ms);
  }

  async #apply(): Promise<void> {
    const { logger, now, graceMs } = this.#parts;
    const { signal } = this.#over;
    if (signal.aborted || this.#entries === undefined) return;
    for (const [service, { absentSince }] of this.#wanted) {
      if (absentSince !== undefined && now() - absentSince >= graceMs) this.#wanted.delete(service);
    }
    const wanted = [...this.#wanted.values()].map(({ chosen }) => chosen);
    try {
      // Hosts that began just now have not said yet what their containers ask for.
      await this.#carryOut(wanted, this.#hasBegun());
      this.#told.isNew('apply', undefined);
      this.#unapplied = undefined;
      this.#failures = 0;
    } catch (error) {
      const reason = describe(error);
      this.#unapplied = reason;
      this.#failures += 1;
      if (!signal.aborted && this.#told.isNew('apply', reason)) {
        logger.error({ event: 'labels-unapplied', reason }, `the policies of labels are tried again: ${reason}`);
      }
    }
    this.#applyIn(this.#failures === 0 ? this.#nextMs() : backoffMs(retry, this.#failures, this.#parts.random()));
  }

  /** Writes what it may: a policy that somebody else owns is left out, and told. */
  async #carryOut(chosen: readonly ChosenPolicy[], prune: boolean): Promise<void> {
    const { registry, random, logger } = this.#parts;
    const options = { set: this.#set, prune, take: false, maxPrune: Number.POSITIVE_INFINITY };
    let declared = chosen.map(declaredOf);
    const conflicts: string[] = [];
    // Each attempt leaves out what the one before could not write.
    for (let attempt = 0; attempt <= chosen.length; attempt += 1) {
      const { plan } = await carryOut({ registry, declared, options, random, signal: this.#over.signal });
      const refused = new Set(
        plan.problems.flatMap((problem) => (problem.declared === undefined ? [] : [problem.declared.key])),
      );
      for (const problem of plan.problems) {
        const reason = planProblemText(problem);
        const key = problem.declared?.key ?? 'all';
        conflicts.push(reason);
        if (!this.#told.isNew(key, reason)) continue;
        logger.error({ event: 'labels-conflict', key, reason }, `the labels of a container do not count: ${reason}`);
      }
      this.#conflicts = conflicts;
      if (refused.size === 0) return;
      declared = declared.filter(({ key }) => !refused.has(key));
    }
  }
}

/** The place of a label has no lines. */
function declaredOf({ service, policy, container, host }: ChosenPolicy): Declared {
  const place = { file: `container ${container} on ${host}`, line: 1, column: 1 };
  return { key: policyKey(service), value: policy, place, placeOf: () => place, flawAt: () => place };
}

/** `container web-1 on a: the set shop owns services/web`. The hints of `apply` are about files. */
const planProblemText = ({ declared, what }: ApplyProblem): string =>
  declared === undefined ? what : `${declared.place.file}: ${what}`;
