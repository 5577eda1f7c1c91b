import type { AddressRules } from '../../addresses/address-rules.ts';
import type { LookUp } from '../../addresses/look-up.ts';
import type { HostNames, Lookup, LookupAnswer, Users } from '../../addresses/names.ts';
import type { LimitedLog } from '../../logging/limited-log.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import { deferred } from '../../waiting/deferred.ts';

export const nameMetrics = ({ counter, gauge }: MakeMetric) => ({
  names: gauge('names', 'Host names of instances: resolved, stale (an older address serves), or unresolved.', [
    'state',
  ]),
  nameLookups: counter('name_lookups_total', 'Lookups of host names of instances, by result (found, failed).', [
    'result',
  ]),
});

export type NameLookupsParts = {
  readonly lookUp: LookUp;
  readonly rules: Pick<AddressRules, 'refusedHost'>;
  readonly metrics?: ReturnType<typeof nameMetrics> | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** Looks up the host names of instances when they are due, while rounds go on. */
export class NameLookups {
  readonly #parts: NameLookupsParts;
  readonly #names: HostNames;
  readonly #log: LimitedLog;
  readonly #onChange: (users: Users) => void;
  #timer: NodeJS.Timeout | undefined;
  #resolved = deferred();
  #closed = false;

  /** `onChange` gets the instances whose name has another address, or another reason to have none. */
  constructor(parts: NameLookupsParts, names: HostNames, log: LimitedLog, onChange: (users: Users) => void) {
    this.#parts = parts;
    this.#names = names;
    this.#log = log;
    this.#onChange = onChange;
  }

  begin(): void {
    if (this.#closed) return;
    const { now, lookUp } = this.#parts;
    for (const lookup of this.#names.take(now())) {
      void lookUp(lookup.name).then((answer) => this.#answered(lookup, answer));
    }
    clearTimeout(this.#timer);
    const ms = this.#names.dueInMs(now());
    // This timer alone does not keep the process alive.
    if (ms !== undefined) this.#timer = setTimeout(() => this.begin(), Math.ceil(ms) + 1).unref();
  }

  /** Resolves when each name has been looked up once, or after `mostMs`. */
  async resolved(mostMs: number): Promise<void> {
    if (!this.#names.settling) return;
    const timer = setTimeout(() => this.#resolved.resolve(), mostMs);
    await this.#resolved.promise;
    clearTimeout(timer);
    this.#resolved = deferred();
  }

  measure(): void {
    for (const [state, count] of Object.entries(this.#names.counts)) this.#parts.metrics?.names.set({ state }, count);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#resolved.resolve();
  }

  #answered(lookup: Lookup, given: LookupAnswer): void {
    if (this.#closed) return;
    const { name } = lookup;
    const answer = this.#allowed(name, given);
    this.#parts.metrics?.nameLookups.inc({ result: answer.kind });
    const before = this.#names.of(name);
    if (this.#names.answered(lookup, answer, this.#parts.now())) {
      const users = this.#names.users(name);
      this.#logChange(name, before?.address, users);
      this.#onChange(users);
    }
    this.begin();
    if (!this.#names.settling) this.#resolved.resolve();
  }

  /** The answer without addresses that no instance may have: the owner of a name decides what it resolves to. */
  #allowed(name: string, answer: LookupAnswer): LookupAnswer {
    if (answer.kind === 'failed') return answer;
    const { rules } = this.#parts;
    const addresses = answer.addresses.filter((address) => rules.refusedHost(address) === undefined);
    const [first] = answer.addresses;
    if (addresses.length > 0 || first === undefined) return { ...answer, addresses };
    return { kind: 'failed', reason: `the name ${name} has no allowed address: ${rules.refusedHost(first)}` };
  }

  #logChange(name: string, before: string | undefined, users: Users): void {
    const { address, trouble } = this.#names.of(name) ?? {};
    const instances = [...users.values()].reduce((sum, ids) => sum + ids.size, 0);
    const [service] = users.keys();
    const about = { name, service, instances, address };
    if (trouble !== undefined) this.#log.warn({ event: 'name-unresolved', ...about, reason: trouble }, trouble);
    else this.#log.info({ event: 'name-resolved', ...about, before }, `${name} is ${address}`);
  }
}
