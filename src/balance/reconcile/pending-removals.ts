import type { PendingServers } from '../../haproxy/plan.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';

/**
 * What left and cannot be deleted yet: servers that still close connections, and backends that have such servers. A backend
 * is left standing for a moment in any case, because a service often comes back.
 */
export class PendingRemovals {
  readonly #metrics: BalanceMetrics;
  readonly #servers = new Map<string, string>();
  readonly #backends = new Set<ServiceName>();

  constructor(metrics: BalanceMetrics) {
    this.#metrics = metrics;
  }

  /** By `backend/server`, with the line each had. */
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

  /** How many servers of each service have left and are still there. */
  perService(): ReadonlyMap<ServiceName, number> {
    const counts = new Map<ServiceName, number>();
    for (const at of this.#servers.keys()) {
      const service = at.slice(0, at.indexOf('/')) as ServiceName;
      counts.set(service, (counts.get(service) ?? 0) + 1);
    }
    return counts;
  }

  /** Nothing needs this backend any more. */
  addBackend(backend: ServiceName): void {
    this.#backends.add(backend);
  }

  /** It serves again. */
  revive(at: string): void {
    this.#servers.delete(at);
    this.#count();
  }

  /** The worker that they were in does not serve any more. */
  clear(): void {
    this.#servers.clear();
    this.#backends.clear();
    this.#count();
  }

  /** Deletes servers whose connections are closed by now, and backends without servers. Gives the backends that are gone. */
  async remove(link: RuntimeLink, served: Rendered, desired: Rendered): Promise<readonly ServiceName[]> {
    for (const at of await link.deleteServers(this.#servers)) this.#servers.delete(at);
    this.#count();
    for (const name of this.#backends) {
      if (desired.backends.has(name) || !served.backends.has(name)) this.#backends.delete(name);
    }
    const lingering = new Set([...this.#servers.keys()].map((at) => at.slice(0, at.indexOf('/'))));
    const empty = [...this.#backends].filter(
      (name) => !lingering.has(name) && served.backends.get(name)?.servers.isEmpty() === true,
    );
    const gone = await link.deleteBackends(empty);
    for (const name of gone) this.#backends.delete(name);
    return gone;
  }

  #count(): void {
    this.#metrics.pendingRemovals.set(this.#servers.size);
  }
}
