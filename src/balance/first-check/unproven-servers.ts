import type { Logger } from 'pino';
import { isChecked, isServing } from '../../haproxy/newcomers.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import { describe } from '../../model/fault.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import { backoffMs } from '../../waiting/backoff.ts';

export type UnprovenServersParts = {
  /** The servers of the worker, with their health. Rejects when the worker does not answer. */
  readonly serverStates: () => Promise<RunningState['servers']>;
  readonly onChange: () => void;
  readonly logger: Logger;
};

/** pointsman checks the server (`asks`), or leaves it to HAProxy's checks: without a check of its own, or after one that failed. */
type Asking = 'asks' | 'unasked' | 'failed';

export const firstCheckPassed = 'the instance gets requests: a check passed';

const pollPace = { firstMs: 500, mostMs: 2000 };

/**
 * The servers that get no requests because they have not passed a check since HAProxy got them. For servers that are left to HAProxy's
 * own checks pointsman asks HAProxy, at least every 2 s, because `wait` waits for the answer.
 */
export class UnprovenServers {
  readonly #parts: UnprovenServersParts;
  readonly #servers = new Map<ServiceName, Map<InstanceId, Asking>>();
  #timer: NodeJS.Timeout | undefined;
  #polls = 0;
  #closed = false;

  constructor(parts: UnprovenServersParts) {
    this.#parts = parts;
  }

  get names(): ReadonlyMap<ServiceName, readonly InstanceId[]> {
    return new Map([...this.#servers].map(([service, ids]) => [service, [...ids.keys()]]));
  }

  /** Adds a server that HAProxy has as down and pointsman checks. */
  add(service: ServiceName, id: InstanceId): void {
    this.#set(service, id, 'asks');
    this.#parts.onChange();
  }

  /** Leaves a server to HAProxy's own checks. */
  leave(service: ServiceName, id: InstanceId, asking: Exclude<Asking, 'asks'>): void {
    this.#set(service, id, asking);
    this.#askSoon();
  }

  /** Adds servers that an earlier run left to HAProxy. */
  adopt(servers: ReadonlyMap<ServiceName, readonly InstanceId[]>): void {
    if (servers.size === 0) return;
    for (const [service, ids] of servers) for (const id of ids) this.#set(service, id, 'unasked');
    this.#askSoon();
    this.#parts.onChange();
  }

  /** Removes a server that gets requests now, or has left. */
  drop(service: ServiceName, id: InstanceId): void {
    const ids = this.#servers.get(service);
    if (ids?.delete(id) !== true) return;
    if (ids.size === 0) this.#servers.delete(service);
    this.#parts.onChange();
  }

  /** Removes the servers of a service that have left. */
  keep(service: ServiceName, isThere: (id: InstanceId) => boolean): void {
    for (const id of [...(this.#servers.get(service)?.keys() ?? [])]) if (!isThere(id)) this.drop(service, id);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #set(service: ServiceName, id: InstanceId, asking: Asking): void {
    const ids = this.#servers.get(service) ?? new Map<InstanceId, Asking>();
    this.#servers.set(service, ids.set(id, asking));
  }

  #askSoon(): void {
    this.#polls = 0;
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#polls += 1;
    this.#timer = setTimeout(() => void this.#poll(), backoffMs(pollPace, this.#polls)).unref();
  }

  async #poll(): Promise<void> {
    if (this.#left().length === 0) return;
    try {
      const states = await this.#parts.serverStates();
      for (const [service, id, asking] of this.#left()) {
        if (states.get(service)?.get(id)?.up !== true) continue;
        this.drop(service, id);
        const key = instanceKey(service, id);
        if (asking === 'failed') this.#parts.logger.info({ event: 'first-check-passed', key }, firstCheckPassed);
      }
    } catch (error) {
      this.#parts.logger.debug(
        { event: 'server-states-unknown', reason: describe(error) },
        'pointsman asks again later',
      );
    }
    this.#arm();
  }

  #left(): readonly (readonly [ServiceName, InstanceId, Asking])[] {
    return [...this.#servers].flatMap(([service, ids]) =>
      [...ids].filter(([, asking]) => asking !== 'asks').map(([id, asking]) => [service, id, asking] as const),
    );
  }
}

/**
 * The servers that a worker of an earlier run checks and finds down. Whether they have ever passed a check is unknown: only the earlier
 * process knew it.
 */
export function foundDown(
  { backends }: Pick<Rendered, 'backends'>,
  states: RunningState['servers'],
): ReadonlyMap<ServiceName, readonly InstanceId[]> {
  const down = new Map<ServiceName, readonly InstanceId[]>();
  for (const [service, { servers }] of backends) {
    const known = states.get(service);
    if (known === undefined) continue;
    const ids: InstanceId[] = [];
    for (const [id, line] of servers) {
      if (known.get(id)?.up === false && isServing(line) && isChecked(line)) ids.push(id);
    }
    if (ids.length > 0) down.set(service, ids);
  }
  return down;
}
