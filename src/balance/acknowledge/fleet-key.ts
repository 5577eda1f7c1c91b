import type { Logger } from 'pino';
import { keyBeside, ownerOf } from '../../fleet/acknowledgement.ts';
import { describe, Fault } from '../../model/fault.ts';
import { balancerKey } from '../../model/key.ts';
import { quote } from '../../model/parsed.ts';
import type { Registry, Session, SessionEvent } from '../../registry/registry.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';

export type FleetKeyParts = {
  readonly registry: Registry;
  readonly id: string;
  /** Names this balancer among those that call themselves by its id. */
  readonly owner: string;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** The key has to be put again: another one has put it, or it may be free now. */
  readonly onDue: () => void;
};

// How long the others wait for one that died.
const ttlMs = 10_000;
const closeMs = 2000;
/** A successor waits meanwhile: how long the registry may take to hear of it, in ms. */
const leaveMs = 500;
/** How often a balancer that has its key beside another's tries to have its own. */
const againMs = 2000;
/** How long the others wait for one that left its HAProxy to a successor. As long as an instance waits, by default. */
const successorMs = 30_000;

/**
 * A balancer's key, under a lease of its own: what stands there is this balancer's word, or no balancer's. While another one
 * holds it, this balancer has a key beside it. The other one may be alive, or this one's predecessor, whose folder is lost:
 * then its lease runs out, and nobody who waits must think in between that no balancer serves.
 */
export class FleetKey {
  readonly #parts: FleetKeyParts;
  #session: Session | undefined;
  #holder = '';
  #refused: string | undefined;
  #unwritable: string | undefined;
  /** Who has the key; undefined while this balancer has it. */
  #beside: string | undefined;
  #again: NodeJS.Timeout | undefined;
  #value: string | undefined;

  constructor(parts: FleetKeyParts) {
    this.#parts = parts;
  }

  /** Why it is not this balancer's; undefined while it is, or was not tried. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Why the registry takes no writes, although it may be read; undefined while it takes them. */
  get unwritable(): string | undefined {
    return this.#unwritable;
  }

  /** Who has this balancer's own key, so that it has one beside; undefined while it has its own. */
  get beside(): string | undefined {
    return this.#beside;
  }

  /** Puts it. While the registry is away it goes on trying. Rejects, and says so in the log, when it may not. */
  async put(value: string, signal: AbortSignal): Promise<void> {
    const { id, logger, metrics } = this.#parts;
    this.#session ??= this.#open();
    try {
      await this.#claim(this.#session, value, signal);
    } catch (error) {
      if (!signal.aborted) this.#refuse(error);
      throw error;
    }
    this.#value = value;
    metrics.acknowledging.set(1);
    if (this.#refused !== undefined)
      logger.info({ event: 'acknowledging', id }, 'this balancer can be waited for again');
    this.#refused = undefined;
  }

  /** Its own key, or the one beside while another balancer has its own. */
  async #claim(session: Session, value: string, signal: AbortSignal): Promise<void> {
    const { id, owner, logger } = this.#parts;
    const beside = keyBeside(id, owner);
    // Its own was tried a moment ago.
    if (this.#again === undefined) {
      try {
        await session.put(balancerKey(id), value, signal);
        if (this.#beside === undefined) return;
        this.#beside = undefined;
        logger.info({ event: 'id-free', id }, `this balancer acknowledges as ${id} from now on`);
        await session.remove(beside, signal);
        return;
      } catch (error) {
        if (!isOwned(error)) throw error;
      }
    }
    await session.put(beside, value, signal);
    this.#again ??= setTimeout(() => {
      this.#again = undefined;
      this.#parts.onDue();
    }, againMs);
    if (this.#beside !== undefined) return;
    this.#beside = this.#holder;
    const text =
      `another balancer has the id ${id}: ${quote(this.#holder)}; this one acknowledges as ${beside}` +
      ' until the lease of the other one runs out. If the other one is alive, give each its own --id';
    logger.warn({ event: 'id-taken', id, key: beside, holder: this.#holder }, text);
  }

  /** Takes it away at once. */
  async close(): Promise<void> {
    clearTimeout(this.#again);
    await this.#session?.close(AbortSignal.timeout(closeMs));
  }

  /**
   * Leaves it to its lease. With `successor` HAProxy goes on serving until another pointsman takes it over, so the key stands
   * for longer.
   */
  async leave(successor: boolean): Promise<void> {
    const { registry, id, logger } = this.#parts;
    clearTimeout(this.#again);
    if (!successor || this.#value === undefined || this.#beside !== undefined || this.#refused !== undefined) return;
    const options = { ttlMs: successorMs, signal: AbortSignal.timeout(leaveMs) };
    await registry.write(balancerKey(id), this.#value, options).catch((error: unknown) => {
      const reason = describe(error);
      logger.warn(
        { event: 'key-not-kept', id, reason },
        `the key goes with its lease, within ${ttlMs / 1000} s: ${reason}`,
      );
    });
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
        this.#parts.onDue();
        break;
      case 'restored':
        this.#parts.logger.warn({ event: 'restored', key: event.key, reason: event.reason }, 'the key stands again');
        break;
      case 'granted':
        this.#parts.metrics.leasesGranted.inc();
        break;
      // The registry's follower logs an outage. A registry that can be read and takes no writes is seen only here.
      case 'unreachable':
        this.#unwritable = event.reason;
        this.#parts.metrics.acknowledging.set(0);
        break;
      case 'reachable':
        this.#unwritable = undefined;
        if (this.#refused === undefined && this.#value !== undefined) this.#parts.metrics.acknowledging.set(1);
        break;
    }
  }

  #refuse(error: unknown): void {
    const { id, logger, metrics } = this.#parts;
    metrics.acknowledging.set(0);
    const reason = describe(error);
    if (reason === this.#refused) return;
    this.#refused = reason;
    logger.error(
      { event: 'not-acknowledging', id, reason },
      `${reason}. This balancer serves, and nobody can wait for it`,
    );
  }
}

const isOwned = (error: unknown): boolean => error instanceof Fault && error.code === 'key-owned';
