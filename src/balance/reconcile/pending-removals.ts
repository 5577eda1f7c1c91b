import type { PendingServers } from '../../haproxy/plan.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';

/**
 * Servers that left and still have connections, and backends that no service needs. pointsman deletes them later. A backend stays for a
 * moment in any case, because services often come back.
 */
export class PendingRemovals {
  readonly #metrics: Pick<ReconcileMetrics, 'pendingRemovals'>;
  readonly #servers = new Map<string, string>();
  readonly #backends = new Set<ServiceName>();

  constructor(metrics: Pick<ReconcileMetrics, 'pendingRemovals'>) {
    this.#metrics = metrics;
  }

  /** By `backend/server`, with the server's last line. */
  get servers(): PendingServers {
    return this.#servers;
  }

  addServer(at: string, line: string): void {
    this.#servers.set(at, line);
    this.#count();
  }

  get empty(): boolean {
    return this.#servers.size === 0 && this.#backends.size === 0;
  }

  /** The number of servers of each service. */
  perService(): ReadonlyMap<ServiceName, number> {
    const counts = new Map<ServiceName, number>();
    for (const at of this.#servers.keys()) {
      const service = at.slice(0, at.indexOf('/')) as ServiceName;
      counts.set(service, (counts.get(service) ?? 0) + 1);
    }
    return counts;
  }

  addBackend(backend: ServiceName): void {
    this.#backends.add(backend);
  }

  /** This server serves again. */
  revive(at: string): void {
    this.#servers.delete(at);
    this.#count();
  }

  /** Another worker serves, which has none of them. */
  clear(): void {
    this.#servers.clear();
    this.#backends.clear();
    this.#count();
  }

  /** Deletes servers without connections, and backends without servers. Returns the backends that HAProxy deleted. */
  async remove(link: RuntimeLink, served: Rendered, desired: Rendered): Promise<readonly ServiceName[]> {
    for (const at of await link.deleteServers(this.#servers)) this.#servers.delete(at);
    this.#count();
    for (const name of this.#backends) {
      if (desired.backends.has(name) || !served.backends.has(name)) this.#backends.delete(name);
    }
    const occupied = new Set([...this.#servers.keys()].map((at) => at.slice(0, at.indexOf('/'))));
    const empty = [...this.#backends].filter(
      (name) => !occupied.has(name) && served.backends.get(name)?.servers.isEmpty() === true,
    );
    const deleted = await link.deleteBackends(empty);
    for (const name of deleted) this.#backends.delete(name);
    return deleted;
  }

  #count(): void {
    this.#metrics.pendingRemovals.set(this.#servers.size);
  }
}
