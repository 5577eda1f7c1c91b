import { Map as PersistentMap } from 'immutable';
import type { Entry } from '../registry/registry.ts';
import {
  type Allocation,
  type Cut,
  capsOf,
  exceeds,
  noUse,
  type Room,
  sum,
  type Use,
  type WaitingEntry,
} from './allocation.ts';
import { type Caps, fitting, positionOf, type Ranked, type Ranking, rank, rerank } from './ranking.ts';

/** The actions that put an allocation into effect. */
export type Effects = {
  /** All entries of these services that are taken now. */
  readonly candidates: (services: ReadonlySet<string>) => ReadonlyMap<string, readonly Ranked[]>;
  /** How a key that is taken or waits counts; undefined when there is no such key. */
  readonly rankOf: (key: string, waiting: WaitingEntry | undefined) => Ranked | undefined;
  readonly take: (entry: Entry) => void;
  /** Takes an entry back, if it is taken, and gives it. */
  readonly drop: (key: string) => WaitingEntry | undefined;
  readonly refuse: (entry: Entry, reason: string) => void;
  readonly reason: (service: string, beyond: keyof Caps) => string;
};

type WaitingEntries = Cut['waiting'];
const noneWaits: WaitingEntries = PersistentMap();

/** One allocation while it is made. */
export class Allocating {
  readonly #before: Allocation;
  readonly #room: Room;
  #total: Use;
  /** The room that services ask for now, where they asked for other room before. */
  readonly #asked = new Map<string, Use>();
  /** The entries that wait now, in services where other entries waited before. */
  readonly #waiting = new Map<string, WaitingEntries>();
  /** The keys that changed in those services. */
  readonly #changed = new Map<string, Set<string>>();
  /** How many services ask for something. */
  #services: number;
  #otherServices = false;

  constructor(before: Allocation, room: Room) {
    this.#before = before;
    this.#room = room;
    this.#total = before.total;
    this.#services = before.asked.size;
  }

  get services(): number {
    return this.#services;
  }

  /** Whether another set of services asks for something than before. */
  get otherServices(): boolean {
    return this.#otherServices;
  }

  asks(service: string): boolean {
    return this.#useOf(service).entries > 0;
  }

  /** Whether an entry of the service cannot be taken before it is known what each service asks for. */
  mustWait(service: string): boolean {
    const { bytes, entries, instances } = this.#room;
    if (this.#total.bytes > bytes || this.#total.entries > entries) return true;
    return this.#waitingOf(service) !== undefined || this.#useOf(service).instances > instances;
  }

  waiting(service: string, key: string): WaitingEntry | undefined {
    return this.#waitingOf(service)?.get(key);
  }

  ask(service: string, more: Use): void {
    const before = this.#useOf(service);
    const after = sum(before, more);
    this.#asked.set(service, after);
    this.#total = sum(this.#total, more);
    if (before.entries > 0 === after.entries > 0) return;
    this.#services += after.entries > 0 ? 1 : -1;
    this.#otherServices = true;
  }

  /** An entry that is not taken before the allocation is settled. */
  wait(service: string, waiting: WaitingEntry): void {
    const all = this.#waitingOf(service) ?? noneWaits;
    this.#change(service, waiting.entry.key, all.set(waiting.entry.key, waiting));
  }

  /** This key does not wait any more. If its service is cut, the key is ranked again. */
  change(service: string, key: string): void {
    const all = this.#waitingOf(service);
    if (all !== undefined) this.#change(service, key, all.delete(key));
  }

  #change(service: string, key: string, waiting: WaitingEntries): void {
    this.#waiting.set(service, waiting);
    const changed = this.#changed.get(service) ?? new Set();
    this.#changed.set(service, changed.add(key));
  }

  /** Accepts the entries that have room now, takes back those that lost their room, and returns the new allocation. */
  allocate(effects: Effects): Allocation {
    if (this.#asked.size === 0 && this.#changed.size === 0) return this.#before;
    const asked = this.#before.asked.withMutations((all) => {
      for (const [service, use] of this.#asked) {
        if (use.entries > 0) all.set(service, use);
        else all.delete(service);
      }
    });
    const caps = capsOf({ total: this.#total, asked }, this.#room);
    const beyond = this.#beyond(asked, caps);
    const fresh = new Set([...beyond].filter((service) => !this.#before.cuts.has(service)));
    const candidates = fresh.size === 0 ? undefined : effects.candidates(fresh);
    const cuts = this.#before.cuts.withMutations((all) => {
      for (const service of new Set([...this.#before.cuts.keys(), ...this.#waiting.keys()])) {
        if (beyond.has(service)) continue;
        for (const { entry } of this.#waitingOf(service)?.values() ?? []) effects.take(entry);
        all.delete(service);
      }
      for (const service of beyond) {
        all.set(service, this.#cut(service, caps, candidates?.get(service) ?? [], effects));
      }
    });
    return { total: this.#total, asked, cuts };
  }

  /** The services that ask for more than they get. */
  #beyond(asked: Allocation['asked'], caps: Caps): ReadonlySet<string> {
    const services = new Set<string>();
    const isShared = Number.isFinite(caps.bytes) || Number.isFinite(caps.entries);
    // Without a share only those can be beyond that were so before, or that ask for something else now.
    const all = isShared ? asked.keys() : [...this.#before.cuts.keys(), ...this.#asked.keys()];
    for (const service of all) if (exceeds(this.#useOf(service), caps)) services.add(service);
    return services;
  }

  #cut(service: string, caps: Caps, candidates: readonly Ranked[], effects: Effects): Cut {
    const before = this.#before.cuts.get(service);
    const waiting = (this.#waitingOf(service) ?? noneWaits).asMutable();
    const changed = new Map<string, Ranked | undefined>();
    for (const key of this.#changed.get(service) ?? []) changed.set(key, effects.rankOf(key, waiting.get(key)));
    const ranking = rerank(before?.ranking ?? rank(candidates), changed);
    const { taken, beyond } = fitting(ranking, caps);
    const reason = effects.reason(service, beyond ?? 'bytes');
    const take = (key: string) => {
      const waits = waiting.get(key);
      if (waits === undefined) return;
      effects.take(waits.entry);
      waiting.delete(key);
    };
    const refuse = (key: string) => {
      const dropped = effects.drop(key);
      const waits = waiting.get(key) ?? dropped;
      if (waits === undefined) return;
      waiting.set(key, waits);
      effects.refuse(waits.entry, reason);
    };
    const formerly = takenBefore(before, ranking);
    for (const [key, one] of changed) {
      if (one !== undefined) (positionOf(ranking, one) <= taken ? take : refuse)(key);
    }
    for (const { key } of ranking.slice(formerly, taken)) take(key);
    for (const { key } of ranking.slice(taken, formerly)) refuse(key);
    if (before !== undefined && before.reason !== reason) {
      for (const { entry } of waiting.values()) effects.refuse(entry, reason);
    }
    return { ranking, taken, waiting: waiting.asImmutable(), reason };
  }

  #useOf(service: string): Use {
    return this.#asked.get(service) ?? this.#before.asked.get(service) ?? noUse;
  }

  #waitingOf(service: string): WaitingEntries | undefined {
    return this.#waiting.get(service) ?? this.#before.cuts.get(service)?.waiting;
  }
}

/** How many of the ranking, from the first, were taken before. */
function takenBefore(before: Cut | undefined, ranking: Ranking): number {
  if (before === undefined) return ranking.length;
  const last = before.ranking[before.taken - 1];
  return last === undefined ? 0 : positionOf(ranking, last);
}
