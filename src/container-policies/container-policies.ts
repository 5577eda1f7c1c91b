import { OncePerReason } from '../logging/once-per-reason.ts';
import { describe } from '../model/fault.ts';
import { policyKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import { parseSetName } from '../model/set-name.ts';
import { type Entry, type Follower, keysFrom, type Registry, type RegistryEvent } from '../registry/registry.ts'; // biome-ignore format: one line
import { backoffMs } from '../waiting/backoff.ts';
import { SerialQueue } from '../waiting/serial-queue.ts';
import { type ChosenPolicies, type ChosenPolicy, type ContainerPolicy, choosePolicies, hostPolicies, setOfLabels } from './choose-policies.ts'; // biome-ignore format: one line
import { HostEntries, type HostEntriesParts } from './host-entries.ts';
import { PolicyWriter } from './policy-writer.ts';
import { Votes } from './votes.ts';

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

/** A policy that is to be there. */
type Wanted = {
  /** Undefined: the labels of all containers have a mistake, so the policy in the registry stays, whatever it is. */
  readonly chosen: ChosenPolicy | undefined;
  /** Since when no container asks for it. */
  readonly absentSince: number | undefined;
};

/** The host of the deciding container writes at once, and the others if it does not. */
const standInMs = 3000;
/** How often to compare with the registry, which somebody may have changed. */
const everyMs = 60_000;
/** The pause after the policies could not be written. */
const retry = { firstMs: 1000, mostMs: 15_000, jitter: 0.5 };

/** Keeps the policies of services as the labels of their containers ask, together with the agents of the other hosts. */
export class ContainerPolicies {
  readonly #parts: ContainerPoliciesParts;
  readonly #hostEntries: HostEntries;
  readonly #writer: PolicyWriter;
  readonly #follower: Follower;
  readonly #writes = new SerialQueue();
  readonly #over = new AbortController();
  readonly #told = new OncePerReason();
  readonly #votes = new Votes();
  /** Undefined: the agent has not read the containers of this host yet. */
  #asked: readonly ContainerPolicy[] | undefined;
  #entries: ReadonlyMap<string, Entry> | undefined;
  #choice: ChosenPolicies = { chosen: new Map(), mistaken: new Map() };
  /** Also those that nobody has asked for since less than the time of grace. */
  readonly #wanted = new Map<ServiceName, Wanted>();
  /** What was last written, or could not be. */
  readonly #attempted = new Map<ServiceName, string>();
  readonly #began: number;
  /** Why the registry is not followed; undefined while it is. */
  #away: string | undefined = 'it has not answered yet';
  /** The registry answers that its user may not read what labels ask for. */
  #denied = false;
  /** Why the policies could not be written. */
  #unapplied: string | undefined;
  /** How often in a row. */
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #onSettled: () => void = () => undefined;

  constructor(parts: ContainerPoliciesParts) {
    this.#parts = parts;
    this.#began = parts.now();
    const set = parseSetName(setOfLabels);
    if (!set.ok) throw new Error(set.reason);
    this.#writer = new PolicyWriter({ ...parts, set: set.value });
    this.#hostEntries = new HostEntries(parts);
    this.#follower = parts.registry.follow((event) => this.#take(event), keysFrom('labels/'));
  }

  /** Tells what the containers of this host ask for now, all of them. */
  update(asked: readonly ContainerPolicy[]): void {
    this.#asked = asked;
    this.#pass();
  }

  #pass(): void {
    // Until the registry has answered, what a former agent of this host wrote is not known, and has to stay.
    if (this.#asked === undefined || (this.#entries === undefined && !this.#denied)) return;
    this.#hostEntries.update(hostPolicies(this.#votes.count(this.#asked)));
  }

  /** Calls `listener` when a service may have become settled. */
  whenSettled(listener: () => void): void {
    this.#onSettled = listener;
  }

  /**
   * Whether the first instance of a service may be announced: its policy is in the registry as the labels ask, or cannot be for a reason
   * that is reported.
   */
  isSettled(service: ServiceName): boolean {
    if (this.#denied || this.#hostEntries.unwritten !== undefined) return true;
    const chosen = this.#choice.chosen.get(service);
    if (chosen === undefined || !this.#hostEntries.isPresent(service)) return false;
    return chosen.announced || this.#attempted.get(service) === chosen.policy;
  }

  /** For metrics and readiness. */
  get state() {
    return {
      away: this.#away,
      unwritten: this.#hostEntries.unwritten ?? this.#unapplied,
      conflicts: this.#writer.conflicts,
    };
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
    if (event.kind === 'disconnected') {
      this.#away = event.denied === true ? undefined : event.reason;
      this.#denied = event.denied === true;
      if (this.#denied) this.#pass();
      this.#onSettled();
    }
    const isFirst = this.#entries === undefined;
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
    this.#denied = false;
    this.#hostEntries.follow(this.#entries);
    if (isFirst) {
      this.#votes.takeOver(this.#hostEntries.present());
      this.#pass();
    }
    this.#choose();
    this.#onSettled();
  }

  #choose(): void {
    const { now, host, random } = this.#parts;
    this.#choice = choosePolicies(this.#entries?.values() ?? []);
    const { chosen, mistaken } = this.#choice;
    for (const [service, { chosen: before, absentSince }] of this.#wanted) {
      if (!chosen.has(service)) this.#wanted.set(service, { chosen: before, absentSince: absentSince ?? now() });
    }
    for (const service of mistaken.keys()) {
      this.#wanted.set(service, { chosen: this.#wanted.get(service)?.chosen, absentSince: undefined });
    }
    let isOurs = false;
    let isNew = false;
    for (const [service, one] of chosen) {
      const changed = this.#wanted.get(service)?.chosen?.policy !== one.policy;
      isNew ||= changed;
      // Before the first instance is announced, each host waits for the policy, so none leaves it to another one.
      isOurs ||= changed && (one.host === host || (!one.announced && this.#hostEntries.has(service)));
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
      if (absentSince === undefined || now() - absentSince < graceMs) continue;
      this.#wanted.delete(service);
      this.#attempted.delete(service);
    }
    const wanted = [...this.#wanted.values()].flatMap(({ chosen }) => chosen ?? []);
    const keep = new Set([...this.#wanted].flatMap(([service, { chosen }]) => (chosen ? [] : [policyKey(service)])));
    try {
      // Hosts that began just now have not said yet what their containers ask for.
      await this.#writer.write(wanted, { prune: this.#hasBegun(), keep }, signal);
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
    for (const { service, policy } of wanted) this.#attempted.set(service, policy);
    this.#onSettled();
    this.#applyIn(this.#failures === 0 ? this.#nextMs() : backoffMs(retry, this.#failures, this.#parts.random()));
  }
}
