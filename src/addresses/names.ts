import type { InstanceId, ServiceName } from '../model/name.ts';
import { backoffMs } from '../waiting/backoff.ts';

export type LookupAnswer =
  /** `ttlMs`: from DNS; undefined for `/etc/hosts`. */
  | { readonly kind: 'found'; readonly addresses: readonly string[]; readonly ttlMs: number | undefined }
  | { readonly kind: 'failed'; readonly reason: string };

/** The result of the last lookups of a name. Both fields are undefined before the first one. */
export type Resolution = {
  /** The address that instances get. A lookup that fails does not change it. */
  readonly address: string | undefined;
  /** Why the last lookup found no address; undefined: it found one. */
  readonly trouble: string | undefined;
};

/** A lookup to be made now. It counts for the share of this service. */
export type Lookup = { readonly name: string; readonly service: ServiceName };

export type Users = ReadonlyMap<ServiceName, ReadonlySet<InstanceId>>;

export type NamesPolicy = {
  /** A name is looked up again after this, in ms; sooner if its TTL is shorter. */
  readonly intervalMs: number;
  /** Lookups at the same time: of all services, and of one. */
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
const retry = { firstMs: leastMs, mostMs: 30_000 };
// One service makes at most 100 lookups a second again: with more names, it looks up each less often.
const pacePerNameMs = 10;

/**
 * The host names of instances: the address of each, and which are to be looked up now. Does no I/O and has no clock. Each service
 * has its own queue and its own share of the lookups, and the queues take turns. So a service with thousands of names that no
 * nameserver answers for does not delay others.
 */
export class HostNames {
  readonly #policy: NamesPolicy;
  readonly #known = new Map<string, Known>();
  /** The first queue is the next one to take a name from. */
  readonly #queues = new Map<ServiceName, Set<string>>();
  readonly #asked = new Map<ServiceName, number>();
  #askedInAll = 0;
  readonly #namesOf = new Map<ServiceName, number>();
  /** Names whose first lookup has not ended. */
  readonly #unsettled = new Set<string>();
  /** Names that rest, by the second in which they are due. */
  readonly #due = new Map<number, Set<string>>();

  constructor(policy: NamesPolicy) {
    this.#policy = policy;
  }

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
   * An instance does not have this name any more. A name without instances is dropped when it is due again: an instance whose
   * lease ran out may be guarded, or return, in the meantime.
   */
  unwant(name: string, service: ServiceName, id: InstanceId): void {
    const users = this.#known.get(name)?.users;
    const ids = users?.get(service);
    if (users === undefined || ids === undefined || !ids.delete(id) || ids.size > 0) return;
    users.delete(service);
    count(this.#namesOf, service, -1);
    // `take` drops the name when its turn comes in the queue of this service.
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

  /** `stale`: names that keep an earlier address because the last lookup failed. */
  get counts(): { readonly resolved: number; readonly stale: number; readonly unresolved: number } {
    const counts = { resolved: 0, stale: 0, unresolved: 0 };
    for (const { address, trouble, users } of this.#known.values()) {
      if (users.size === 0) continue;
      counts[address === undefined ? 'unresolved' : trouble === undefined ? 'resolved' : 'stale'] += 1;
    }
    return counts;
  }

  /** Whether the first lookup of a name has not ended. */
  get settling(): boolean {
    return this.#unsettled.size > 0;
  }

  /** The lookups to make now. Call `answered` once for each. */
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

  /** Takes the answer of a lookup. Returns whether the address or the trouble of the name changed. */
  answered({ name, service }: Lookup, answer: LookupAnswer, now: number): boolean {
    count(this.#asked, service, -1);
    this.#askedInAll -= 1;
    const known = this.#known.get(name);
    // The name was dropped meanwhile. If an instance has it again, that is another lookup.
    if (known?.state !== 'asked') return false;
    this.#unsettled.delete(name);
    if (answer.kind === 'failed') {
      const failures = known.failures + 1;
      this.#rest(name, { ...known, trouble: answer.reason, failures }, now, backoffMs(retry, failures));
      return known.trouble !== answer.reason;
    }
    const address = chooseAddress(answer.addresses, known.address);
    const wait = Math.min(answer.ttlMs ?? this.#policy.intervalMs, this.#policy.intervalMs);
    this.#rest(name, { ...known, address, trouble: undefined, failures: 0 }, now, wait);
    return known.address !== address || known.trouble !== undefined;
  }

  /** Milliseconds until a name is due; undefined: none is. Names that wait in a queue do not count. */
  dueInMs(now: number): number | undefined {
    if (this.#due.size === 0) return undefined;
    return Math.max(0, Math.min(...this.#due.keys()) * 1000 - now);
  }

  #rest(name: string, known: Known, now: number, waitMs: number): void {
    this.#known.set(name, { ...known, state: 'resting' });
    // A service with many names does not slow down a name that another service has, too.
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
 * The current address as long as the name has it: an answer in another order changes nothing. Otherwise the first address in
 * alphabetical order, which is the same on every balancer.
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
