import type { Logger } from 'pino';
import { formatEnded, keyBeside, ownerOf } from '../../fleet/acknowledgement.ts';
import { describe, Fault } from '../../model/fault.ts';
import { balancerKey } from '../../model/key.ts';
import { quote } from '../../model/parsed.ts';
import type { Registry, Session, SessionEvent } from '../../registry/registry.ts';
import { timeLimit } from '../../waiting/time-limit.ts';
import type { AcknowledgeMetrics } from './acknowledge-metrics.ts';

export type FleetKeyParts = {
  readonly registry: Registry;
  readonly id: string;
  /** Distinguishes this balancer from others with the same id. */
  readonly owner: string;
  readonly metrics: AcknowledgeMetrics;
  readonly logger: Logger;
  /** The key has to be written again: another balancer wrote it, or it may be free now. */
  readonly onDue: () => void;
};

// How long others wait for a balancer that died.
const ttlMs = 10_000;
const closeMs = 2000;
/** The longest wait for the registry while a successor waits, in ms. */
const leaveMs = 500;
/** How often a balancer tries to get its key while another balancer has it, in ms. */
const againMs = 2000;
/** How long others wait for a balancer that left its HAProxy to a successor, in ms: the default of an instance's wait. */
const successorMs = 30_000;

/**
 * The key of a balancer's acknowledgement, under its own lease. While another balancer has the key, this one has a second key next to
 * it. The other balancer may be alive. Or it may be the predecessor of this one, whose folder is lost: then its lease expires, and
 * until then clients that wait must see that a balancer serves.
 */
export class FleetKey {
  readonly #parts: FleetKeyParts;
  #session: Session | undefined;
  /** The value of the balancer that has the key. */
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

  /** The value of the balancer that has the key; undefined while this balancer has it. */
  get beside(): string | undefined {
    return this.#beside;
  }

  /** Writes the key. Tries again while the registry is unavailable. Rejects, and logs the reason, when the registry refuses it. */
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
    if (this.#refused !== undefined) logger.info({ event: 'acknowledging', id }, 'this balancer acknowledges again');
    this.#refused = undefined;
  }

  /** Writes the key, or the second key while another balancer has the key. */
  async #claim(session: Session, value: string, signal: AbortSignal): Promise<void> {
    const { id, owner, logger } = this.#parts;
    const beside = keyBeside(id, owner);
    // While the timer runs, the last attempt at the key was a moment ago.
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
      `another balancer has the id ${id}: ${quote(this.#holder)}; this balancer acknowledges as ${beside}` +
      ' until the lease of the other one expires. If the other one still runs, give each balancer its own --id';
    logger.warn({ event: 'id-taken', id, key: beside, holder: this.#holder }, text);
  }
  /** Removes the key, after a last value that says that nothing serves any more. */
  async close(): Promise<void> {
    clearTimeout(this.#again);
    const { id, owner } = this.#parts;
    if (this.#value !== undefined && this.#refused === undefined) {
      const key = this.#beside === undefined ? balancerKey(id) : keyBeside(id, owner);
      // Without it, others only know less.
      await this.#session?.put(key, formatEnded(this.#value), timeLimit(closeMs / 2)).catch(() => undefined);
    }
    await this.#session?.close(timeLimit(closeMs));
  }

  /**
   * Leaves the key to its lease. With `successor` HAProxy goes on serving until another pointsman takes it over, so the key gets a
   * longer lease.
   */
  async leave(successor: boolean): Promise<void> {
    const { registry, id, logger } = this.#parts;
    clearTimeout(this.#again);
    if (!successor || this.#value === undefined || this.#beside !== undefined || this.#refused !== undefined) return;
    const options = { ttlMs: successorMs, signal: timeLimit(leaveMs) };
    await registry.write(balancerKey(id), this.#value, options).catch((error: unknown) => {
      const reason = describe(error);
      logger.warn(
        { event: 'key-not-kept', id, reason },
        `the key of this balancer expires with its lease, within ${ttlMs / 1000} s: ${reason}`,
      );
    });
  }

  #open(): Session {
    const { registry, owner } = this.#parts;
    return registry.openSession({
      ttlMs,
      mayReplace: (_, holder) => {
        this.#holder = holder;
        const other = ownerOf(holder);
        // A value without an owner was written by hand. A value of this balancer may be from before a crash.
        return other === undefined || other === owner;
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
        this.#parts.logger.warn(
          { event: 'restored', key: event.key, reason: event.reason },
          'the key of this balancer exists again',
        );
        break;
      case 'granted':
        this.#parts.metrics.leasesGranted.inc();
        break;
      // The follower of the registry logs an outage. Only the session notices that a registry takes no writes.
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
      `${reason}. This balancer serves, but cannot acknowledge: wait and register do not see its progress`,
    );
  }
}

const isOwned = (error: unknown): boolean => error instanceof Fault && error.code === 'key-owned';
