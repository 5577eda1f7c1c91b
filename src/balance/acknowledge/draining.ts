import type { Catalog } from '../../catalog/catalog.ts';
import { instanceName, type OpenRequests as Said } from '../../fleet/acknowledgement.ts';
import type { ServerAt } from '../../haproxy/server-load.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { describe } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import type { OpenRequestCount } from './open-requests.ts';

export type DrainingParts = LogAndClock & {
  /** By `service/instance`. Rejects when HAProxy does not answer. */
  readonly count: (servers: readonly ServerAt[]) => Promise<ReadonlyMap<string, OpenRequestCount>>;
  /** A count changed, or all are counted. */
  readonly onChange: () => void;
};

type Server = {
  readonly at: ServerAt;
  /** Until then the count is unknown while a worker of an earlier reload may still choose the server. */
  readonly patientUntil: number;
  /** Undefined: not counted yet. */
  open: Said | undefined;
  /** The number of counts in a row without an open request. */
  idle: number;
};

// HAProxy may have chosen the server for a request and not counted the request yet at the first count: the two are microseconds apart,
// unless the thread is interrupted between them.
const surelyIdle = 2;
// A request through a worker of an earlier reload is not lost: if the server has left, HAProxy sends it to another one. So this wait is
// shorter than a drain timeout, although clients may stay idle at that worker for a minute.
const patienceMs = 5000;
const pollMs = { confirm: 3, least: 20, most: 250, retry: 100 };

/** Counts the open requests of draining servers. It asks HAProxy only while there are some. */
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

  /** To be called after HAProxy got these changes of the catalog. */
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

  /** By `service/instance`. A count that may still be wrong is `unknown`. */
  get counts(): ReadonlyMap<string, Said> {
    const counts = new Map<string, Said>();
    for (const [service, servers] of this.#servers) {
      for (const [id, server] of servers)
        counts.set(instanceName(service, id), isCounted(server) ? server.open : 'unknown');
    }
    return counts;
  }

  /** Whether all draining servers are counted. */
  get counted(): boolean {
    // This runs after each change, so it makes no list, however many servers drain.
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
      this.#parts.logger.debug(
        { event: 'not-counted', reason: describe(error) },
        'the number of open requests is unknown',
      );
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
    // Servers that began to drain meanwhile are counted at once.
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
