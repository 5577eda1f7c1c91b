import type { Logger } from 'pino';
import { type Awaited, type BarrierState, describeObstacle, describeVanished } from '../fleet/barrier.ts';
import { Fleet } from '../fleet/fleet.ts';
import type { Instance } from '../model/instance.ts';
import { formatDuration } from '../model/quantity.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import { sayWhile } from '../waiting/say-while.ts';
import { timeLimit } from '../waiting/time-limit.ts';

export type DepartureParts = {
  readonly registry: Registry;
  /** How long the balancers are waited for, in ms. */
  readonly drainTimeoutMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

const followMs = 250;

/** Waits for the balancers to let go of instances that leave. It begins to follow them when it is made. */
export class Departure {
  readonly #parts: DepartureParts;
  readonly #fleet: Fleet;
  readonly #prepared: Promise<void>;

  constructor(parts: DepartureParts) {
    this.#parts = parts;
    this.#fleet = new Fleet(parts.registry);
    this.#prepared = this.#fleet.following(timeLimit(followMs));
  }

  /** Await it before instances are put as draining: then the answers of the balancers arrive at once. */
  get prepared(): Promise<void> {
    return this.#prepared;
  }

  /**
   * Resolves when every live balancer has served this revision, in which the instance drains, and has none of its requests
   * open; or when the time is up, or `signal` aborts, and then logs what is open. Never rejects.
   */
  async drained({ service, id }: Instance, revision: Revision, logger: Logger, signal: AbortSignal): Promise<void> {
    const { drainTimeoutMs, now } = this.#parts;
    const started = now();
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), drainTimeoutMs);
    const awaited: Awaited = { goal: 'drained', revision, service, id };
    let latest: BarrierState | undefined;
    const wait = this.#fleet.wait(awaited, AbortSignal.any([signal, limit.signal]), (now) => {
      latest = now;
    });
    const verdict = await sayWhile(wait, () => {
      const open = latest === undefined ? [] : openOf(latest);
      const text = open.map(({ balancer, missing }) => `${balancer} ${missing}`).join('; ');
      const left = formatDuration(Math.max(0, Math.round((drainTimeoutMs - (now() - started)) / 1000) * 1000));
      logger.info(
        { event: 'draining', open },
        `waiting, for at most ${left} more: ${text || 'no balancer answers yet'}`,
      );
    });
    clearTimeout(timer);
    const about = { revision: String(revision), ms: Math.round(now() - started) };
    const { vanished } = verdict;
    const lost = describeVanished(vanished);
    const isOver = verdict.kind === 'reached' || verdict.kind === 'nobody';
    if (isOver && lost !== undefined) {
      const balancers = verdict.kind === 'reached' ? verdict.reached.length : 0;
      logger.warn(
        { event: 'let-go', ...about, balancers, vanished },
        `no other balancer sends it requests, but ${lost}`,
      );
    } else if (verdict.kind === 'reached') {
      const balancers = verdict.reached.length;
      logger.info({ event: 'let-go', ...about, balancers }, 'no balancer sends it requests any more, and none is open');
    } else if (verdict.kind === 'nobody') {
      logger.info({ event: 'let-go', ...about, balancers: 0 }, 'no balancer is alive, so there is nothing to wait for');
    } else {
      const { away } = this.#fleet.view;
      const open = openOf(verdict);
      const why = signal.aborted ? 'leaving at once, as asked' : `not drained within ${formatDuration(drainTimeoutMs)}`;
      const registry = away === undefined ? [] : [`the registry is unavailable: ${away}`];
      const texts = open.map(({ balancer, missing }) => `${balancer} ${missing}`);
      const text = [why, ...texts, ...(lost === undefined ? [] : [lost]), ...registry].join('; ');
      logger.warn({ event: 'drain-incomplete', ...about, open, registryAway: away }, text);
    }
  }

  close(): Promise<void> {
    return this.#fleet.close();
  }
}

function openOf(verdict: BarrierState): readonly { readonly balancer: string; readonly missing: string }[] {
  if (verdict.kind !== 'waiting') return [];
  return verdict.missing.map(({ balancer, obstacle }) => ({ balancer, missing: describeObstacle(obstacle) }));
}
