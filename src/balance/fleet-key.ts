import type { Logger } from 'pino';
import { balancerKey, ownerOf } from '../fleet/acknowledgement.ts';
import { describe, Fault } from '../model/fault.ts';
import { quote } from '../model/parsed.ts';
import type { Registry, Session, SessionEvent } from '../registry/registry.ts';
import type { BalanceMetrics } from './metrics.ts';

export type FleetKeyParts = {
  readonly registry: Registry;
  readonly id: string;
  /** Names this balancer among those that call themselves by its id. */
  readonly owner: string;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Somebody else has put the key. */
  readonly onTaken: () => void;
};

// How long the others wait for one that died.
const ttlMs = 10_000;
const closeMs = 2000;

/** A balancer's key, under a lease of its own: what stands there is this balancer's word, or no balancer's. */
export class FleetKey {
  readonly #parts: FleetKeyParts;
  #session: Session | undefined;
  #holder = '';
  #refused: string | undefined;

  constructor(parts: FleetKeyParts) {
    this.#parts = parts;
  }

  /** Why it is not this balancer's; undefined while it is, or was not tried. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Puts it. While the registry is away it goes on trying. Rejects, and says so in the log, when it may not. */
  async put(value: string, signal: AbortSignal): Promise<void> {
    const { id, logger, metrics } = this.#parts;
    this.#session ??= this.#open();
    try {
      await this.#session.put(balancerKey(id), value, signal);
    } catch (error) {
      if (!signal.aborted) this.#refuse(error);
      throw error;
    }
    metrics.acknowledging.set(1);
    if (this.#refused !== undefined)
      logger.info({ event: 'acknowledging', id }, 'this balancer can be waited for again');
    this.#refused = undefined;
  }

  /** Takes it away at once. */
  async close(): Promise<void> {
    await this.#session?.close(AbortSignal.timeout(closeMs));
  }

  #open(): Session {
    const { registry, owner } = this.#parts;
    return registry.openSession({
      ttlMs,
      mayReplace: (_, holder) => {
        this.#holder = holder;
        const standing = ownerOf(holder);
        // A value that names no owner is a hand's, and no balancer's. Our own may stand there from before a crash.
        return standing === undefined || standing === owner;
      },
      onEvent: (event) => this.#onEvent(event),
    });
  }

  #onEvent(event: SessionEvent): void {
    switch (event.kind) {
      case 'taken':
        this.#holder = event.holder;
        this.#refuse(new Fault('key-owned', 'another one has put it'));
        this.#parts.onTaken();
        break;
      case 'restored':
        this.#parts.logger.warn({ event: 'restored', key: event.key, reason: event.reason }, 'the key stands again');
        break;
      case 'granted':
        this.#parts.metrics.leasesGranted.inc();
        break;
      // Whoever follows the registry says so already.
      case 'unreachable':
      case 'reachable':
        break;
    }
  }

  #refuse(error: unknown): void {
    const { id, logger, metrics } = this.#parts;
    metrics.acknowledging.set(0);
    const owned = error instanceof Fault && error.code === 'key-owned';
    const reason = owned ? `another balancer calls itself ${id}: ${quote(this.#holder)}` : describe(error);
    if (reason === this.#refused) return;
    this.#refused = reason;
    const advice = owned ? '; give each its own --id. This one serves, and nobody can wait for it' : '';
    logger.error({ event: 'not-acknowledging', id, reason }, `${reason}${advice}`);
  }
}
