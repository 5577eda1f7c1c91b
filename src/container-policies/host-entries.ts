import type { Logger } from 'pino';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { describe } from '../model/fault.ts';
import { formatLabelPolicy, type LabelPolicy, labelsKey, parseLabelPolicy } from '../model/label-policy.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import type { Entry, Registry, Session, SessionEvent } from '../registry/registry.ts';
import { SerialQueue } from '../waiting/serial-queue.ts';

export type HostEntriesParts = {
  readonly registry: Pick<Registry, 'openSession'>;
  readonly logger: Logger;
  /** The name of this host; each host has its own. */
  readonly host: string;
  /** How long the entries stay after the agent was killed, in ms. */
  readonly ttlMs: number;
};

/**
 * The entries of this host below `labels/`. The first put replaces that of a former agent. When another agent replaces one later, two
 * hosts have one name: then this one waits until the entry is gone, since two agents that replace each other would never stop.
 */
export class HostEntries {
  readonly #parts: HostEntriesParts;
  readonly #session: Session;
  readonly #writes = new SerialQueue();
  readonly #over = new AbortController();
  readonly #told = new OncePerReason();
  readonly #own = new Map<ServiceName, string>();
  /** Of these, another agent has the entry. */
  readonly #taken = new Set<ServiceName>();
  /** Why an entry could not be written, by its key. */
  readonly #unwritten = new Map<string, string>();
  #present: ReadonlyMap<string, Entry> | undefined;

  constructor(parts: HostEntriesParts) {
    this.#parts = parts;
    const { registry, ttlMs } = parts;
    this.#session = registry.openSession({ ttlMs, mayReplace: () => true, onEvent: (event) => this.#take(event) });
  }

  /** Tells what the containers of this host ask for now, all of them. */
  update(now: ReadonlyMap<ServiceName, LabelPolicy>): void {
    for (const service of this.#own.keys()) {
      if (now.has(service)) continue;
      this.#own.delete(service);
      this.#taken.delete(service);
      this.#write(service, undefined);
    }
    for (const [service, policy] of now) {
      const value = formatLabelPolicy(policy);
      if (this.#own.get(service) === value) continue;
      this.#own.set(service, value);
      if (!this.#taken.has(service)) this.#write(service, value);
    }
  }

  /** Tells which entries there are below `labels/`, of all hosts. */
  follow(present: ReadonlyMap<string, Entry>): void {
    this.#present = present;
    for (const service of this.#taken) this.#putWhenFree(service);
  }

  /** Whether containers of this host ask for a policy of the service. */
  has(service: ServiceName): boolean {
    return this.#own.has(service);
  }

  /** Whether the entry of this host is in the registry as its containers ask now. */
  isPresent(service: ServiceName): boolean {
    const entry = this.#present?.get(labelsKey(service, this.#parts.host));
    const read = entry && parseLabelPolicy(entry.value);
    return read?.ok === true && formatLabelPolicy(read.value) === this.#own.get(service);
  }

  /** The entries of this host in the registry, which may be those of a former agent. */
  present(): readonly (readonly [ServiceName, LabelPolicy])[] {
    return [...(this.#present ?? [])].flatMap(([key, { value }]) => {
      const service = parseServiceName(key.split('/')[1] ?? '');
      if (!service.ok || key !== labelsKey(service.value, this.#parts.host)) return [];
      const read = parseLabelPolicy(value);
      return read.ok ? [[service.value, read.value] as const] : [];
    });
  }

  /** Why an entry of this host is not there as it should be; undefined when all are. */
  get unwritten(): string | undefined {
    const [reason] = this.#unwritten.values();
    const [taken] = this.#taken;
    return reason ?? (taken && `another agent has ${labelsKey(taken, this.#parts.host)}`);
  }

  /** Leaves the registry as it is: the entries end with their lease, so that a restart of the agent changes nothing. */
  async close(): Promise<void> {
    this.#over.abort();
    await this.#writes.idle();
  }

  #take(event: SessionEvent): void {
    if (event.kind !== 'taken') return;
    const { host, logger } = this.#parts;
    const service = [...this.#own.keys()].find((one) => labelsKey(one, host) === event.key);
    if (service === undefined) return;
    this.#taken.add(service);
    const message = `another agent has replaced ${event.key}, so the labels of this machine do not count for ${service} until that agent has ended: two machines have the host name ${host}, or two agents run on this one; give each machine its own host name, and run one agent on it`;
    if (this.#told.isNew('taken', host)) logger.error({ event: 'labels-taken', key: event.key, host }, message);
    this.#putWhenFree(service);
  }

  #putWhenFree(service: ServiceName): void {
    const value = this.#own.get(service);
    if (value === undefined || this.#present?.has(labelsKey(service, this.#parts.host)) !== false) return;
    this.#taken.delete(service);
    this.#write(service, value);
  }

  #write(service: ServiceName, value: string | undefined): void {
    const { host, logger } = this.#parts;
    const key = labelsKey(service, host);
    const { signal } = this.#over;
    void this.#writes
      .run<unknown>(() =>
        value === undefined ? this.#session.remove(key, signal) : this.#session.put(key, value, signal),
      )
      .then(() => this.#unwritten.delete(key))
      .catch((error: unknown) => {
        const reason = describe(error);
        this.#unwritten.set(key, `${key}: ${reason}`);
        if (signal.aborted || !this.#told.isNew(key, reason)) return;
        logger.error({ event: 'labels-unwritten', service, reason }, `${key} cannot be written: ${reason}`);
      });
  }
}
