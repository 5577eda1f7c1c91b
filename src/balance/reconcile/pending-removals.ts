import type { PendingServers } from '../../haproxy/plan.ts';
import type { ReloadReason } from '../../haproxy/reload-reason.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Loop, Timers } from './loop.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';

type PendingRemovalsParts = Pick<BalancerParts, 'link'> & {
  readonly metrics: Pick<ReconcileMetrics, 'pendingRemovals'>;
  readonly timers: Timers;
  readonly loop: Pick<Loop, 'wake'>;
};

const delayMs = 500;
/** An HAProxy that cannot delete servers may have this many retired servers until a reload is due. Each takes a few kB. */
const mostRetired = 1000;
/** A service with more retired servers gets no new servers before that reload, which may have to wait for its budget. */
const mostRetiredOfService = 2000;

/**
 * Servers that left and still have connections, and backends that no service needs. pointsman tries twice a second to delete them, until
 * none is left. A backend stays for a moment in any case, because services often come back.
 */
export class PendingRemovals {
  readonly #parts: PendingRemovalsParts;
  readonly #servers = new Map<string, string>();
  readonly #backends = new Set<ServiceName>();
  #due = false;

  constructor(parts: PendingRemovalsParts) {
    this.#parts = parts;
  }

  /** By `backend/server`, with the server's last line. */
  get servers(): PendingServers {
    return this.#servers;
  }
  get due(): boolean {
    return this.#due;
  }

  /** Sets the timer for the next attempt, unless it is set. */
  arm(): void {
    const { link, timers, loop } = this.#parts;
    const nothing = this.#servers.size === 0 && this.#backends.size === 0;
    if (!link.abilities.deletes || nothing || timers.has('pending-removals')) return;
    timers.arm('pending-removals', delayMs, () => {
      this.#due = true;
      loop.wake();
    });
  }

  addServer(at: string, line: string): void {
    this.#servers.set(at, line);
    this.#count();
  }

  /** Has a backend deleted, if HAProxy can. Otherwise the next reload removes it. */
  addBackend(backend: ServiceName): void {
    const { addBackend, deletes } = this.#parts.link.abilities;
    if (addBackend && deletes) this.#backends.add(backend);
  }
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

  /** Why retired servers need a reload; undefined when they are few, or HAProxy can delete servers. */
  get tooManyRetired(): ReloadReason | undefined {
    let left = this.#servers.size;
    if (this.#parts.link.abilities.deletes || left <= mostRetired) return undefined;
    const services: ServiceName[] = [];
    for (const [service, count] of [...this.#perService()].sort(([, a], [, b]) => b - a)) {
      if (left <= mostRetired) break;
      services.push(service);
      left -= count;
    }
    return { kind: 'retired', more: mostRetired, services };
  }

  /** Why a service with too many retired servers gets no new servers before a reload. */
  fullRule(): (service: ServiceName) => ReloadReason | undefined {
    if (this.#parts.link.abilities.deletes || this.#servers.size <= mostRetiredOfService) return () => undefined;
    const counts = this.#perService();
    const reason = this.tooManyRetired;
    return (service) => ((counts.get(service) ?? 0) > mostRetiredOfService ? reason : undefined);
  }

  /** Deletes servers without connections, and backends without servers. Returns the backends that HAProxy deleted. */
  async remove(served: Rendered, desired: Rendered): Promise<readonly ServiceName[]> {
    const { link } = this.#parts;
    this.#due = false;
    for (const at of await link.deleteServers(this.#servers)) this.#servers.delete(at);
    this.#count();
    for (const name of this.#backends) {
      if (desired.backends.has(name) || !served.backends.has(name)) this.#backends.delete(name);
    }
    const occupied = this.#perService();
    const empty = [...this.#backends].filter(
      (name) => !occupied.has(name) && served.backends.get(name)?.servers.isEmpty() === true,
    );
    const deleted = await link.deleteBackends(empty);
    for (const name of deleted) this.#backends.delete(name);
    return deleted;
  }
  #perService(): ReadonlyMap<ServiceName, number> {
    const counts = new Map<ServiceName, number>();
    for (const at of this.#servers.keys()) {
      const service = at.slice(0, at.indexOf('/')) as ServiceName;
      counts.set(service, (counts.get(service) ?? 0) + 1);
    }
    return counts;
  }

  #count(): void {
    this.#parts.metrics.pendingRemovals.set(this.#servers.size);
  }
}
