import type { Service } from '../../catalog/service.ts';
import { isTableKey, mostCounts, type RateCount, type RateCounts } from '../../fleet/rate-counts.ts';
import { lookEveryMs } from '../../fleet/rate-share.ts';
import { unexpectedAnswer } from '../../haproxy/answers.ts';
import { parseRateTable, type RateCounter, showBusyKeys, showKey } from '../../haproxy/rate-table.ts';
import { parseMap } from '../../haproxy/running-state.ts';
import type { RuntimeLink, WorkerConnection } from '../../haproxy/runtime-link.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { describe } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import type { RateLimit } from '../../model/policy/rate-limit.ts';
import { policyOf } from '../../render/policies.ts';
import type { Rendered } from '../../render/rendered.ts';
import { FleetCounts, type FleetCountsParts } from './fleet-counts.ts';
import { busyAbove, countsToTell, everyClient, formatWeights, weightsOf } from './fleet-weights.ts';

export type FleetLimitsParts = Omit<FleetCountsParts, 'onChange'> & {
  readonly link: Pick<RuntimeLink, 'connected' | 'aside'>;
  readonly services: () => Iterable<readonly [ServiceName, Service]>;
  readonly served: () => Pick<Rendered, 'backends' | 'policies'>;
  /** The path of the map, as the policies name it. */
  readonly ratesMap: string;
  /** The text of the file of the map. */
  readonly read: () => Promise<string>;
  readonly write: (text: string) => Promise<void>;
};

/** A service whose rate limit is one of the fleet. */
type Limited = {
  readonly service: ServiceName;
  readonly table: string;
  readonly counter: RateCounter;
  readonly limit: RateLimit;
};

export type FleetLimitsStatus = {
  /** Live balancers, among which the limits are divided. */
  readonly balancers: number;
  /** Keys whose share follows their load. All other keys have the same share on each balancer. */
  readonly keys: number;
};

/** One sentence for people. */
export function describeFleetLimit({ balancers, keys }: FleetLimitsStatus): string {
  const equal = balancers === 1 ? 'the whole rate limit' : `1/${balancers} of the rate limit`;
  const own = keys === 0 ? '' : `; of ${keys} busy keys of all services, its part follows the load`;
  return `this balancer has ${equal} of the fleet${own}`;
}

/**
 * Divides the rate limits of the fleet among its balancers, by a map of HAProxy. While no service has such a limit it does nothing but
 * look whether one has.
 */
export class FleetLimits {
  readonly #parts: FleetLimitsParts;
  readonly #counts: FleetCounts;
  readonly #reasons = new OncePerReason({ remindMs: 600_000 });
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #closed = false;
  /** The text of the file; undefined before it was read. */
  #written: string | undefined;
  #seen: { readonly services: unknown; readonly limits: ReadonlyMap<ServiceName, RateLimit> } | undefined;
  #weights: ReadonlyMap<string, number> = new Map();

  constructor(parts: FleetLimitsParts) {
    this.#parts = parts;
    this.#counts = new FleetCounts({ ...parts, onChange: () => this.look() });
  }

  begin(): void {
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
    this.look();
  }

  /** To be called when a limit or the fleet may have changed. During a look, calls make one more. */
  look(): void {
    if (this.#closed) return;
    this.#again = true;
    this.#looking ??= this.#lookAll().finally(() => {
      this.#looking = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    await this.#counts.close();
  }

  /** Undefined while no service has a limit of the fleet. */
  status(): FleetLimitsStatus | undefined {
    const fleet = this.#weights.get(everyClient);
    return fleet === undefined ? undefined : { balancers: fleet / 1000, keys: this.#weights.size - 1 };
  }

  async #lookAll(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      try {
        await this.#look();
        this.#reasons.isNew('look', undefined);
      } catch (error) {
        const reason = describe(error);
        // HAProxy is starting or loads a configuration: the next look succeeds.
        if (!this.#parts.link.connected || !this.#reasons.isNew('look', reason)) continue;
        const text = `the limits of the fleet are divided as before: ${reason}`;
        this.#parts.logger.warn({ event: 'rates-undivided', reason }, text);
      }
    }
  }

  async #look(): Promise<void> {
    const limits = this.#limits();
    if (limits.size === 0) return this.#rest();
    this.#counts.open();
    const { balancers } = this.#counts;
    if (balancers === undefined) return;
    const limited = this.#limited(limits);
    if (!this.#parts.link.connected || limited.length === 0) {
      // Also before HAProxy loads the policy: the file already has the number of balancers.
      await this.#apply(undefined, weightsOf(limits, balancers, new Map(), []));
      return;
    }
    const { others } = this.#counts;
    const worker = await this.#parts.link.aside();
    try {
      const own = balancers === 1 ? new Map() : await readCounts(worker, limited, balancers, others);
      const told = countsToTell(limits, balancers, own, others, mostCounts);
      this.#counts.tell(told);
      await this.#apply(worker, weightsOf(limits, balancers, told, others));
    } finally {
      worker.close();
    }
  }

  /** No service has a limit of the fleet. */
  async #rest(): Promise<void> {
    this.#weights = new Map();
    await this.#counts.close();
    this.#written ??= await this.#parts.read();
    await this.#save('');
  }

  #limits(): ReadonlyMap<ServiceName, RateLimit> {
    const services = this.#parts.services();
    if (this.#seen?.services === services) return this.#seen.limits;
    const limits = new Map<ServiceName, RateLimit>();
    for (const [name, { policy }] of services) {
      if (policy.rateLimit?.scope === 'fleet') limits.set(name, policy.rateLimit);
    }
    this.#seen = { services, limits };
    return limits;
  }

  /** Those that HAProxy serves with a limit of the fleet. */
  #limited(limits: ReadonlyMap<ServiceName, RateLimit>): readonly Limited[] {
    const { backends, policies } = this.#parts.served();
    return [...limits].flatMap(([service, limit]) => {
      const section = backends.get(service)?.section;
      const policy = section && policyOf(section);
      const text = policy === undefined ? undefined : policies.get(policy);
      if (text === undefined || !text.includes(this.#parts.ratesMap)) return [];
      const counter = text.includes('http_req_rate') ? 'http_req_rate' : 'conn_rate';
      return [{ service, table: `_${policy}-rates`, counter, limit }];
    });
  }

  /** The file first, so that a worker which starts meanwhile has the same. */
  async #apply(worker: WorkerConnection | undefined, weights: ReadonlyMap<string, number>): Promise<void> {
    const { ratesMap } = this.#parts;
    await this.#save(formatWeights(weights));
    if (worker !== undefined) {
      const [shown = ''] = await worker.run([`show map ${ratesMap}`]);
      const commands = shown.startsWith('Unknown map') ? [] : mapCommands(ratesMap, parseMap(shown), weights);
      for (const [i, answer] of (commands.length === 0 ? [] : await worker.run(commands)).entries()) {
        if (answer.trim() !== '') throw unexpectedAnswer(commands[i] ?? '', answer);
      }
    }
    this.#weights = weights;
  }

  async #save(text: string): Promise<void> {
    if (text === this.#written) return;
    await this.#parts.write(text);
    this.#written = text;
  }
}

/** HAProxy's counts of busy keys, and of the keys that other balancers report. */
async function readCounts(
  worker: WorkerConnection,
  limited: readonly Limited[],
  balancers: number,
  others: readonly RateCounts[],
): Promise<RateCounts> {
  const commands = new Set<string>();
  const elsewhere = new Set(others.flatMap((counts) => [...counts.keys()]));
  const byService = new Map(limited.map((one) => [String(one.service), one]));
  for (const { table, counter, limit } of limited)
    commands.add(showBusyKeys(table, counter, busyAbove(limit, balancers)));
  for (const key of elsewhere) {
    const one = byService.get(key.slice(0, key.indexOf('/')));
    if (one !== undefined) commands.add(showKey(one.table, key));
  }
  const own = new Map<string, RateCount>();
  for (const answer of await worker.run([...commands])) {
    for (const [key, count] of parseRateTable(answer)) if (isTableKey(key)) own.set(key, count);
  }
  return own;
}

function mapCommands(
  path: string,
  present: ReadonlyMap<string, string>,
  weights: ReadonlyMap<string, number>,
): readonly string[] {
  const commands: string[] = [];
  for (const [key, weight] of weights) {
    const now = present.get(key);
    if (now === undefined) commands.push(`add map ${path} ${key} ${weight}`);
    else if (now !== String(weight)) commands.push(`set map ${path} ${key} ${weight}`);
  }
  for (const key of present.keys()) if (!weights.has(key)) commands.push(`del map ${path} ${key}`);
  return commands;
}
