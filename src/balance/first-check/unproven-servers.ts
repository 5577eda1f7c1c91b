import type { Logger } from 'pino';
import type { RunningState } from '../../haproxy/running-state.ts';
import { describe } from '../../model/fault.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { backoffMs } from '../../waiting/backoff.ts';

export type UnprovenServersParts = {
  /** The servers of the worker, with their health. Rejects when it cannot be asked now. */
  readonly serverStates: () => Promise<RunningState['servers']>;
  /** A server passed its first check, or one more has to. */
  readonly onChange: () => void;
  readonly logger: Logger;
};

/** Whose checks decide about a server, and how pointsman's own ended: it asks still, it has not asked, or it has failed. */
type Asking = 'asks' | 'unasked' | 'failed';

export const firstCheckPassed = 'the instance gets requests: a check has passed';

const pollPace = { firstMs: 500, mostMs: 2000 };

/**
 * The servers that have not passed a check since HAProxy got them, so that they get no requests. pointsman asks HAProxy only about
 * those that it has left to HAProxy's own checks. It asks at least every 2 s while there are some, because `wait` waits for the answer.
 */
export class UnprovenServers {
  readonly #parts: UnprovenServersParts;
  /** By service and instance: who checks it. Those with `asks` are pointsman's, all others are left to HAProxy's own checks. */
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

  /** HAProxy has it, down. */
  add(service: ServiceName, id: InstanceId): void {
    this.#set(service, id, 'asks');
    this.#parts.onChange();
  }

  /** HAProxy's own checks decide from now on. */
  leave(service: ServiceName, id: InstanceId, asking: Exclude<Asking, 'asks'>): void {
    this.#set(service, id, asking);
    this.#askSoon();
  }

  /** HAProxy has had them from before, down. Its own checks decide. */
  adopt(servers: ReadonlyMap<ServiceName, readonly InstanceId[]>): void {
    if (servers.size === 0) return;
    for (const [service, ids] of servers) for (const id of ids) this.#set(service, id, 'unasked');
    this.#askSoon();
    this.#parts.onChange();
  }

  /** It gets requests now, or has left. */
  drop(service: ServiceName, id: InstanceId): void {
    const ids = this.#servers.get(service);
    if (ids?.delete(id) !== true) return;
    if (ids.size === 0) this.#servers.delete(service);
    this.#parts.onChange();
  }

  /** Drops those of a service that are not among these. */
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
      this.#parts.logger.debug({ event: 'server-states-unknown', reason: describe(error) }, 'asked again later');
    }
    this.#arm();
  }

  #left(): readonly (readonly [ServiceName, InstanceId, Asking])[] {
    return [...this.#servers].flatMap(([service, ids]) =>
      [...ids].filter(([, asking]) => asking !== 'asks').map(([id, asking]) => [service, id, asking] as const),
    );
  }
}
