import type { InstanceId, ServiceName } from '../model/name.ts';

/** What a lookup of a name gave. */
export type LookupAnswer =
  /** `ttlMs`: how long DNS says that it is so; undefined where nobody says. */
  | { readonly kind: 'found'; readonly addresses: readonly string[]; readonly ttlMs: number | undefined }
  | { readonly kind: 'failed'; readonly reason: string };

/** What is known of a name. Both undefined: it has not been looked up yet. */
export type Resolution = {
  /** The address that is served. A lookup that fails leaves it as it is. */
  readonly address: string | undefined;
  /** Why the last lookup gave no address; undefined when it gave one. */
  readonly trouble: string | undefined;
};

/** A lookup to be made now, counted for this service. */
export type Lookup = { readonly name: string; readonly service: ServiceName };

/** The instances that have a name as their address. */
export type Users = ReadonlyMap<ServiceName, ReadonlySet<InstanceId>>;

export type NamesPolicy = {
  /** A name is looked up again after this, in ms; sooner if its TTL is shorter. */
  readonly intervalMs: number;
  /** Lookups at once, in all and for one service. */
  readonly most: number;
  readonly mostOfService: number;
};

type Known = Resolution & {
  readonly users: Map<ServiceName, Set<InstanceId>>;
  readonly failures: number;
  readonly state: 'waiting' | 'asked' | 'resting';
};

// In ms. A TTL of 0 is not a reason to ask a nameserver all the time.
const leastMs = 1000;
// A name that fails is tried again after 1 s, 2 s, 4 s, and so on up to this.
const mostRetryMs = 30_000;
// The names of one service are looked up again at most 100 times a second: with more names, less often.
const pacePerNameMs = 10;

/**
 * The names of instances: which address each has, and which is to be looked up now. Does no I/O and has no clock. Each service
 * has a queue and a share of the lookups of its own, and the queues take turns, so that a service with thousands of names that
 * nobody answers for delays no other.
 */
export class HostNames {
  readonly #policy: NamesPolicy;
  readonly #known = new Map<string, Known>();
  /** The service whose turn it is comes first. */
  readonly #queues = new Map<ServiceName, Set<string>>();
  readonly #asked = new Map<ServiceName, number>();
  #askedInAll = 0;
  readonly #namesOf = new Map<ServiceName, number>();
  /** Names of which nothing is known yet. */
  readonly #unsettled = new Set<string>();
  /** Names that rest, by the second in which they are due. */
  readonly #due = new Map<number, Set<string>>();

  constructor(policy: NamesPolicy) {
    this.#policy = policy;
  }

  /** An instance has this name as its address. */
  want(name: string, service: ServiceName, id: InstanceId): void {
    let known = this.#known.get(name);
    if (known === undefined) {
      known = { users: new Map(), address: undefined, trouble: undefined, failures: 0, state: 'waiting' };
      this.#known.set(name, known);
      this.#unsettled.add(name);
    }
    const ids = known.users.get(service);
    if (ids !== undefined) ids.add(id);
    else {
      known.users.set(service, new Set([id]));
      this.#namesOf.set(service, (this.#namesOf.get(service) ?? 0) + 1);
      if (known.state === 'waiting') this.#enqueue(name, service);
    }
  }

  /**
   * An instance has this name no more. A name that no instance has is forgotten when it is next due: an instance whose lease
   * ran out may be held, or come back, in the meantime.
   */
  unwant(name: string, service: ServiceName, id: InstanceId): void {
    const users = this.#known.get(name)?.users;
    const ids = users?.get(service);
    if (users === undefined || ids === undefined || !ids.delete(id) || ids.size > 0) return;
    users.delete(service);
    count(this.#namesOf, service, -1);
    // A lookup that waits for its turn in this service's queue finds there that nobody needs it.
    if (users.size === 0) this.#unsettled.delete(name);
  }

  /** An address that served before, for a name that has not been looked up yet. */
  remember(name: string, address: string): void {
    const known = this.#known.get(name);
    if (known === undefined || known.address !== undefined) return;
    this.#known.set(name, { ...known, address });
    this.#unsettled.delete(name);
  }

  of(name: string): Resolution | undefined {
    return this.#known.get(name);
  }

  users(name: string): Users {
    return this.#known.get(name)?.users ?? new Map();
  }

  /** How many names are as they should be, keep an older address, or have none. */
  get counts(): { readonly resolved: number; readonly stale: number; readonly unresolved: number } {
    const counts = { resolved: 0, stale: 0, unresolved: 0 };
    for (const { address, trouble, users } of this.#known.values()) {
      if (users.size === 0) continue;
      counts[address === undefined ? 'unresolved' : trouble === undefined ? 'resolved' : 'stale'] += 1;
    }
    return counts;
  }

  /** Whether there is a name of which nothing is known yet. */
  get settling(): boolean {
    return this.#unsettled.size > 0;
  }

  /** The lookups to be made now; each is to be answered once. */
  take(now: number): readonly Lookup[] {
    this.#wake(now);
    const lookups: Lookup[] = [];
    let passed = 0;
    while (this.#askedInAll < this.#policy.most && passed < this.#queues.size) {
      const [turn] = this.#queues;
      if (turn === undefined) break;
      const [service, queue] = turn;
      this.#queues.delete(service);
      const [name] = queue;
      if (name === undefined) continue;
      this.#queues.set(service, queue);
      if ((this.#asked.get(service) ?? 0) >= this.#policy.mostOfService) {
        passed += 1;
        continue;
      }
      passed = 0;
      queue.delete(name);
      const known = this.#known.get(name);
      if (known?.state !== 'waiting') continue;
      if (known.users.size === 0) {
        this.#known.delete(name);
        continue;
      }
      this.#known.set(name, { ...known, state: 'asked' });
      count(this.#asked, service, 1);
      this.#askedInAll += 1;
      lookups.push({ name, service });
    }
    return lookups;
  }

  /** Whether something differs for those who have the name. */
  answered({ name, service }: Lookup, answer: LookupAnswer, now: number): boolean {
    count(this.#asked, service, -1);
    this.#askedInAll -= 1;
    const known = this.#known.get(name);
    // It was forgotten meanwhile; if it is wanted again, that is another lookup.
    if (known?.state !== 'asked') return false;
    this.#unsettled.delete(name);
    if (answer.kind === 'failed') {
      const failures = known.failures + 1;
      const wait = Math.min(leastMs * 2 ** Math.min(failures - 1, 10), mostRetryMs);
      this.#rest(name, { ...known, trouble: answer.reason, failures }, now, wait);
      return known.trouble !== answer.reason;
    }
    const address = chooseAddress(answer.addresses, known.address);
    const wait = Math.min(answer.ttlMs ?? this.#policy.intervalMs, this.#policy.intervalMs);
    this.#rest(name, { ...known, address, trouble: undefined, failures: 0 }, now, wait);
    return known.address !== address || known.trouble !== undefined;
  }

  /** In how many ms a name is due; undefined when none is. Names that wait for others' answers do not count. */
  dueInMs(now: number): number | undefined {
    if (this.#due.size === 0) return undefined;
    return Math.max(0, Math.min(...this.#due.keys()) * 1000 - now);
  }

  #rest(name: string, known: Known, now: number, waitMs: number): void {
    this.#known.set(name, { ...known, state: 'resting' });
    // A service with many names cannot slow down a name that another one has too.
    const crowds = [...known.users.keys()].map((service) => this.#namesOf.get(service) ?? 0);
    const crowd = crowds.length === 0 ? 0 : Math.min(...crowds);
    const second = Math.ceil((now + Math.max(waitMs, leastMs, crowd * pacePerNameMs)) / 1000);
    const names = this.#due.get(second);
    if (names === undefined) this.#due.set(second, new Set([name]));
    else names.add(name);
  }

  #wake(now: number): void {
    for (const [second, names] of this.#due) {
      if (second * 1000 > now) continue;
      this.#due.delete(second);
      for (const name of names) {
        const known = this.#known.get(name);
        if (known?.state !== 'resting') continue;
        if (known.users.size === 0) {
          this.#known.delete(name);
          continue;
        }
        this.#known.set(name, { ...known, state: 'waiting' });
        for (const service of known.users.keys()) this.#enqueue(name, service);
      }
    }
  }

  #enqueue(name: string, service: ServiceName): void {
    const queue = this.#queues.get(service);
    if (queue === undefined) this.#queues.set(service, new Set([name]));
    else queue.add(name);
  }
}

/**
 * The address that is served, as long as the name has it: an answer in another order changes nothing. Else the first in the
 * order of the text, the same on every balancer.
 */
function chooseAddress(addresses: readonly string[], current: string | undefined): string | undefined {
  if (current !== undefined && addresses.includes(current)) return current;
  return addresses.toSorted()[0];
}

function count<K>(counts: Map<K, number>, key: K, by: number): void {
  const sum = (counts.get(key) ?? 0) + by;
  if (sum > 0) counts.set(key, sum);
  else counts.delete(key);
}
