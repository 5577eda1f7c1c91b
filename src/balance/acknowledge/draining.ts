import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import { instanceName, type OpenRequests as Said } from '../../fleet/acknowledgement.ts';
import type { ServerAt } from '../../haproxy/server-load.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { describe } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { OpenRequestCount } from './open-requests.ts';

export type DrainingParts = {
  /** By `service/instance`. Rejects when HAProxy cannot be asked now. */
  readonly count: (servers: readonly ServerAt[]) => Promise<ReadonlyMap<string, OpenRequestCount>>;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Told when a count has changed, or all are counted. */
  readonly onChange: () => void;
};

type Server = {
  readonly at: ServerAt;
  /** Until when a worker of an earlier reload is waited for, that may still choose it. */
  readonly patientUntil: number;
  /** Undefined: not counted yet. */
  open: Said | undefined;
  /** How many counts in a row found nothing. */
  idle: number;
};

// A request may have been given to the server and not be counted yet when it is asked for the first time: the two are
// microseconds apart in HAProxy, unless its thread is interrupted just there.
const surelyIdle = 2;
// A request that comes by way of a worker of an earlier reload is not lost: when the server is gone by then, HAProxy
// gives it to another one. So this is not worth a whole drain timeout, and its clients may idle there for a minute.
const patienceMs = 5000;
const pollMs = { confirm: 3, least: 20, most: 250, retry: 100 };

/** The servers that take no new requests, and how many of theirs are open. HAProxy is asked only while some are. */
export class Draining {
  readonly #parts: DrainingParts;
  readonly #servers = new Map<ServiceName, Map<InstanceId, Server>>();
  #timer: NodeJS.Timeout | undefined;
  #counting = false;
  #waitMs = pollMs.least;
  #closed = false;

  constructor(parts: DrainingParts) {
    this.#parts = parts;
  }

  /** HAProxy was given these, as the catalog has them. */
  onApplied(dirty: DirtySet, catalog: Catalog): void {
    for (const [service, { whole, instances }] of dirty) {
      const has = catalog.services.get(service)?.instances;
      const known = this.#servers.get(service) ?? new Map<InstanceId, Server>();
      const ids = whole ? [...known.keys(), ...(has?.keys() ?? [])] : instances;
      for (const id of ids) {
        const state = has?.get(id)?.state;
        if (state === undefined || state === 'ready') known.delete(id);
        else if (!known.has(id)) {
          const patientUntil = this.#parts.now() + patienceMs;
          known.set(id, { at: { backend: service, server: id }, patientUntil, open: undefined, idle: 0 });
        }
      }
      if (known.size > 0) this.#servers.set(service, known);
      else this.#servers.delete(service);
    }
    if (!this.counted) {
      this.#waitMs = pollMs.least;
      void this.#count();
    }
  }

  /** By `service/instance`. What was not counted for sure yet is unknown. */
  get counts(): ReadonlyMap<string, Said> {
    const counts = new Map<string, Said>();
    for (const [service, servers] of this.#servers) {
      for (const [id, server] of servers)
        counts.set(instanceName(service, id), isCounted(server) ? server.open : 'unknown');
    }
    return counts;
  }

  /** Whether no count is missing. */
  get counted(): boolean {
    // Asked in every round: nothing is gathered for it, however many drain.
    for (const servers of this.#servers.values()) {
      for (const server of servers.values()) if (!isCounted(server)) return false;
    }
    return true;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #count(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#counting || this.#closed) return;
    const busy = this.#all().filter(({ idle }) => idle < surelyIdle);
    if (busy.length === 0) return;
    this.#counting = true;
    let waitMs = this.#waitMs;
    let changed = false;
    try {
      const counts = await this.#parts.count(busy.map(({ at }) => at));
      for (const server of busy) {
        const open = this.#judge(server, counts.get(`${server.at.backend}/${server.at.server}`));
        const before = isCounted(server) ? server.open : undefined;
        server.idle = open === 0 ? server.idle + 1 : 0;
        server.open = open;
        if (isCounted(server) && server.open !== before) changed = true;
      }
      this.#waitMs = Math.min(this.#waitMs * 1.5, pollMs.most);
      if (!this.counted) waitMs = pollMs.confirm;
    } catch (error) {
      this.#parts.logger.debug({ event: 'not-counted', reason: describe(error) }, 'open requests are not known now');
      for (const server of busy) {
        if (server.open !== 'unknown') changed = true;
        server.open = 'unknown';
        server.idle = 0;
      }
      waitMs = pollMs.retry;
    } finally {
      this.#counting = false;
    }
    if (this.#closed) return;
    // Those that began to drain meanwhile are counted at once.
    if (this.#all().some(({ open }) => open === undefined)) waitMs = 0;
    this.#timer = setTimeout(() => void this.#count(), waitMs);
    if (changed) this.#parts.onChange();
  }

  #judge({ patientUntil }: Server, found: OpenRequestCount | undefined): Said {
    if (found === undefined) return 'unknown';
    return found.open === 0 && found.mayGrow && this.#parts.now() < patientUntil ? 'unknown' : found.open;
  }

  #all(): readonly Server[] {
    return [...this.#servers.values()].flatMap((servers) => [...servers.values()]);
  }
}

const isCounted = (server: Server): server is Server & { open: Said } =>
  server.open !== undefined && (server.open !== 0 || server.idle >= surelyIdle);
