import { OncePerReason } from '../logging/once-per-reason.ts';
import type { MakeMetric } from '../metrics/make-metric.ts';
import type { RegistryEvent } from '../registry/registry.ts';
import { deferred } from '../waiting/deferred.ts';
import type { LogAndClock } from './observe/log-and-clock.ts';

export const registryMetrics = ({ counter, gauge }: MakeMetric) => ({
  registryConnected: gauge('registry_connected', '1 while this balancer follows the registry.'),
  registryDisconnects: counter('registry_disconnects_total', 'Losses of the connection to the registry.'),
  registryStale: gauge(
    'registry_stale_seconds',
    'Seconds since this balancer last followed the registry; 0 while it follows it.',
  ),
});

type RegistryStatusParts = LogAndClock & {
  readonly metrics: ReturnType<typeof registryMetrics>;
};

/** Whether the balancer follows the registry, and how old its view of the registry is. */
export class RegistryStatus {
  readonly #parts: RegistryStatusParts;
  readonly #reasons = new OncePerReason();
  readonly #view = deferred();
  #connected = false;
  #reason: string | undefined = 'not connected yet';
  #since: number;
  /** When the catalog from disk was saved; undefined once the registry has answered. */
  #fromDisk: Date | undefined;
  #hasView = false;

  constructor(parts: RegistryStatusParts) {
    this.#parts = parts;
    this.#since = parts.now();
  }

  /** Resolves when there is a catalog to serve. */
  get view(): Promise<void> {
    return this.#view.promise;
  }

  get fromDisk(): Date | undefined {
    return this.#fromDisk;
  }

  /** The balancer serves the catalog from disk, which is `ageMs` old, until the registry answers. */
  onLastKnown(savedAt: Date, ageMs: number): void {
    this.#fromDisk = savedAt;
    this.#since = this.#parts.now() - ageMs;
    this.#onView();
  }

  onEvent(event: RegistryEvent): void {
    const { metrics, logger, now } = this.#parts;
    if (event.kind === 'snapshot') {
      this.#fromDisk = undefined;
      this.#onView();
    }
    if (event.kind !== 'connected' && event.kind !== 'disconnected') return;
    const connected = event.kind === 'connected';
    metrics.registryConnected.set(connected ? 1 : 0);
    if (event.kind === 'connected') {
      this.#reasons.isNew('registry', undefined);
      logger.info({ event: 'registry-connected', member: event.member }, 'pointsman follows the registry');
    } else {
      if (this.#connected) metrics.registryDisconnects.inc();
      // The registry reports each failed attempt.
      const level = this.#reasons.isNew('registry', event.reason) ? 'warn' : 'debug';
      logger[level](
        { event: 'registry-disconnected', reason: event.reason },
        this.#hasView
          ? 'registry unavailable; HAProxy keeps serving the last known state'
          : 'registry unavailable; HAProxy serves nothing until it answers',
      );
    }
    if (this.#connected !== connected) this.#since = now();
    this.#connected = connected;
    this.#reason = event.kind === 'connected' ? undefined : event.reason;
  }

  status() {
    return {
      connected: this.#connected,
      reason: this.#reason,
      staleMs: this.#connected ? 0 : this.#parts.now() - this.#since,
      lastKnown: this.#fromDisk?.toISOString(),
    };
  }

  #onView(): void {
    this.#hasView = true;
    this.#view.resolve();
  }
}
