import type { Catalog, Folded } from '../../catalog/catalog.ts';
import { type HealthChange, isEjectedDown } from '../../haproxy/health-change.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { ServerTraffic } from '../../haproxy/stat.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import { describe } from '../../model/fault.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Ejection } from '../../model/policy/ejection.ts';
import type { Policy } from '../../model/policy.ts';
import { formatDuration } from '../../model/quantity.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import {
  type EjectionStep,
  type Ejections,
  type EjectionTransition,
  eject,
  forget,
  nextChange,
  noEjections,
  passTime,
  type SpareReason,
  withoutEjected,
} from './ejection.ts';
import { type ErrorCounts, lookAtErrors } from './error-counts.ts';

export const ejectionMetrics = ({ counter, gauge }: MakeMetric) => ({
  ejected: gauge(
    'ejected_instances',
    'Instances that get no requests now because they answered with errors, although their health checks pass.',
    ['service'],
  ),
  ejections: counter('ejections_total', 'Ejections of instances for errors in a row.', ['service']),
  spared: counter(
    'ejections_spared_total',
    'Instances with errors in a row that stay in service, because too many others are ejected, or none is up.',
    ['service'],
  ),
});

export type EjectingParts = LogAndClock & {
  readonly link: Pick<RuntimeLink, 'connected' | 'workerPid' | 'serverTraffic' | 'raise'>;
  readonly metrics: ReturnType<typeof ejectionMetrics>;
  /** Gets each instance whose ejection began, ended or became a trial. */
  readonly onChange: (service: ServiceName, id: InstanceId) => void;
};

/** An ejected instance, or one on trial, for `/status` and `explain`. */
export type EjectedStatus = {
  readonly service: string;
  readonly instance: string;
  readonly phase: 'out' | 'trial';
  readonly errors: number;
  readonly times: number;
  readonly endsInMs: number;
};

type Ejects = { readonly ejection: Ejection; readonly mode: Policy['mode'] };

/** Between two looks at all services, in ms; at least so many times as long as the last look took, because a worker has other work. */
const pace = { leastMs: 1000, times: 50 };

/**
 * Drives passive ejection. HAProxy itself takes a server down at the last of the errors in a row. This class learns of it, from
 * HAProxy's output at once and otherwise by looking each second, and decides: the server is ejected for a while, or brought back.
 */
export class Ejecting {
  readonly #parts: EjectingParts;
  readonly #log: LimitedLog;
  readonly #settings = new Map<ServiceName, Ejects>();
  readonly #counts = new Map<ServiceName, ErrorCounts>();
  readonly #looking = new Map<ServiceName, Promise<void>>();
  #ejections: Ejections = noEjections;
  #answered: { readonly of: Catalog; readonly ejections: Ejections; readonly catalog: Catalog } | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #endTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: EjectingParts) {
    this.#parts = parts;
    this.#log = new LimitedLog(parts.logger, parts.now, 'further-ejections');
  }

  /** Learns which services eject servers, and which of their instances are left. */
  fold({ catalog, dirty }: Pick<Folded, 'catalog' | 'dirty'>): void {
    for (const [name] of dirty) {
      const service = catalog.services.get(name);
      const ejection = service?.policy.ejection;
      if (service === undefined || ejection === undefined) {
        this.#settings.delete(name);
        this.#counts.delete(name);
      } else this.#settings.set(name, { ejection, mode: service.policy.mode });
      if (!this.#ejections.has(name)) continue;
      const has = (id: InstanceId) => service?.instances.has(id) === true;
      this.#take(forget(this.#ejections, name, { ejects: ejection !== undefined, has }));
    }
    if (this.#settings.size > 0 && this.#lookTimer === undefined) this.#armLook(pace.leastMs);
  }

  /** HAProxy reports the health of a server. */
  heard(change: HealthChange): void {
    if (!isEjectedDown(change)) return;
    for (const name of this.#settings.keys()) if (name === change.service) void this.#look(name, change.id);
  }

  /** The stage `ejected` of the effective catalog. */
  ejected(catalog: Catalog): Catalog {
    const answered = this.#answered;
    if (answered?.of === catalog && answered.ejections === this.#ejections) return answered.catalog;
    const without = withoutEjected(catalog, this.#ejections);
    this.#answered = { of: catalog, ejections: this.#ejections, catalog: without };
    return without;
  }

  status(): readonly EjectedStatus[] {
    const now = this.#parts.now();
    return [...this.#ejections].flatMap(([service, servers]) =>
      [...servers].flatMap(([instance, { phase, errors, times, until }]) =>
        phase === 'watched'
          ? []
          : [{ service, instance, phase, errors, times, endsInMs: Math.max(0, Math.round(until - now)) }],
      ),
    );
  }

  /** Resolves once HAProxy is asked nothing any more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#lookTimer);
    clearTimeout(this.#endTimer);
    this.#log.close();
    await Promise.all(this.#looking.values());
  }

  #armLook(ms: number): void {
    if (this.#closed) return;
    this.#lookTimer = setTimeout(() => void this.#lookAtAll(), ms).unref();
  }

  async #lookAtAll(): Promise<void> {
    const { now } = this.#parts;
    const began = now();
    for (const name of [...this.#settings.keys()]) await this.#look(name);
    this.#lookTimer = undefined;
    if (this.#settings.size > 0) this.#armLook(Math.max(pace.leastMs, (now() - began) * pace.times));
  }

  /** One look at a time at each service: two that overlap could count the same errors twice. */
  #look(name: ServiceName, told?: string): Promise<void> {
    const looking = (this.#looking.get(name) ?? Promise.resolve())
      .then(() => (this.#closed ? undefined : this.#lookAt(name, told)))
      .catch((error: unknown) => {
        const reason = describe(error);
        this.#parts.logger.debug({ event: 'errors-unknown', service: name, reason }, 'asked again later');
      })
      .finally(() => {
        if (this.#looking.get(name) === looking) this.#looking.delete(name);
      });
    this.#looking.set(name, looking);
    return looking;
  }

  async #lookAt(name: ServiceName, told: string | undefined): Promise<void> {
    const { link, now } = this.#parts;
    const known = this.#settings.get(name);
    if (known === undefined || !link.connected) return;
    const { workerPid } = link;
    const traffic = await link.serverTraffic(name);
    if (link.workerPid !== workerPid) return;
    const { ejection: settings, mode } = known;
    const look = { now: now(), workerPid, traffic, mode, settings, told };
    const { counts, marked } = lookAtErrors(this.#counts.get(name), look);
    this.#counts.set(name, counts);
    if (marked.length === 0) return;
    // A server is named as its instance.
    const servers = marked.map(({ id, recent }) => ({ id: id as InstanceId, recent }));
    const up = new Set(upIn(traffic));
    const isOut = (id: string) => this.#ejections.get(name)?.get(id as InstanceId)?.phase === 'out';
    const size = [...traffic].filter(([id, { weight }]) => weight > 0 || isOut(id)).length;
    const step = eject(this.#ejections, now(), { service: name, settings, servers, size, up });
    this.#take(step);
    for (const one of step.transitions) if (one.kind === 'spared') await link.raise(name, one.id);
  }

  #take({ ejections, transitions }: EjectionStep): void {
    const { metrics, onChange } = this.#parts;
    this.#ejections = ejections;
    for (const one of transitions) {
      this.#tell(one);
      if (one.kind !== 'spared') onChange(one.service, one.id);
    }
    if (transitions.length > 0) {
      metrics.ejected.reset();
      for (const [service, servers] of ejections)
        metrics.ejected.set(
          { service },
          servers.count(({ phase }) => phase === 'out'),
        );
    }
    this.#armEnd();
  }

  #armEnd(): void {
    clearTimeout(this.#endTimer);
    const next = nextChange(this.#ejections);
    if (next === undefined || this.#closed) return;
    const { now } = this.#parts;
    const ms = Math.max(1, Math.ceil(next - now()));
    this.#endTimer = setTimeout(() => this.#take(passTime(this.#ejections, now())), ms).unref();
  }

  #tell(one: EjectionTransition): void {
    const { metrics } = this.#parts;
    const { service, id } = one;
    const [key, name] = [instanceKey(service, id), `${service}/${id}`];
    switch (one.kind) {
      case 'ejected': {
        metrics.ejections.inc({ service });
        const { errors, times, forMs } = one;
        const text = `${name} is ejected for ${formatDuration(forMs)}: ${errors} errors in a row`;
        this.#log.warn({ event: 'instance-ejected', key, errors, times, ms: forMs }, text);
        return;
      }
      case 'spared':
        metrics.spared.inc({ service });
        this.#log.warn(
          { event: 'ejection-spared', key, reason: one.reason },
          `${name} has errors in a row, but it stays in service: ${sparing[one.reason]}`,
        );
        return;
      case 'trial':
        this.#log.info({ event: 'ejection-trial', key }, `${name} gets some requests again, on trial`);
        return;
      case 'returned':
        this.#log.info({ event: 'ejection-ended', key }, `${name} gets all its requests again`);
    }
  }
}

const sparing: Readonly<Record<SpareReason, string>> = {
  'too slow': 'they were further apart than the policy says',
  most: 'as many instances as the policy allows are ejected',
  last: 'no other instance is up',
};

/** The servers that get requests. */
function* upIn(traffic: ReadonlyMap<string, ServerTraffic>): Generator<InstanceId> {
  for (const [id, { status, weight, backup }] of traffic)
    if (/^(UP|no check)/.test(status) && weight > 0 && !backup) yield id as InstanceId;
}
