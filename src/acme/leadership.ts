import type { Logger } from 'pino';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { leaderKey } from '../model/acme/keys.ts';
import { describe, Fault } from '../model/fault.ts';
import type { Revision } from '../model/revision.ts';
import type { Follower, GuardedChange, KeyRange, Registry, RegistryEvent, Session } from '../registry/registry.ts';
import { backoffMs } from '../waiting/backoff.ts';
import { deferred } from '../waiting/deferred.ts';
import { aborted, timeLimit } from '../waiting/time-limit.ts';

/** The time during which this balancer leads. */
export type Term = {
  /** Aborts when it ends. */
  readonly signal: AbortSignal;
  /**
   * Writes all changes in one revision, unless another balancer leads meanwhile. While the registry is unavailable it tries again. Rejects with
   * `NotWritten` when somebody else has changed one of the keys, or the term has ended.
   */
  write(changes: readonly GuardedChange[]): Promise<Revision>;
};

/** A write of the leader did not take place. */
export class NotWritten extends Error {
  override readonly name = 'NotWritten';
}

/** This balancer cannot order, and another one may be able to. */
export class GaveUp extends Error {
  override readonly name = 'GaveUp';
}

export type LeadershipParts = {
  readonly registry: Registry;
  readonly id: string;
  readonly logger: Logger;
  readonly random: () => number;
  /** Rejects with an Error when this balancer cannot lead. */
  readonly prepare: () => Promise<unknown>;
  /** Leads until the signal of the term aborts. When it rejects, another balancer may lead; with GaveUp, this one stands back. */
  readonly lead: (term: Term) => Promise<void>;
};

/** How long the others wait for a leader that died, in ms. See docs of the registry: a shorter lease can be lost while etcd elects. */
const ttlMs = 10_000;
const leaderKeys: KeyRange = { first: leaderKey, end: `${leaderKey}\0` };
/** How long a balancer that gave up leaves the lead to the others. */
const standBack = { firstMs: 10_000, mostMs: 120_000, jitter: 0.25 };
const retry = { firstMs: 250, mostMs: 3000, jitter: 0.5 };

/** Lets one balancer of the fleet lead: the one whose lease the key `acme/leader` is under. */
export class Leadership {
  readonly #parts: LeadershipParts;
  readonly #end = new AbortController();
  readonly #follower: Follower;
  #running: Promise<void> | undefined;
  /** Whether no balancer has the key, as far as the registry has told. */
  #free = false;
  #onFree: () => void = () => undefined;

  constructor(parts: LeadershipParts) {
    this.#parts = parts;
    this.#follower = parts.registry.follow((event) => this.#take(event), leaderKeys);
  }

  begin(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.#onFree();
    await this.#running;
    await this.#follower.close();
  }

  #take(event: RegistryEvent): void {
    if (event.kind === 'snapshot') this.#free = !event.entries.has(leaderKey);
    else if (event.kind === 'changes') {
      for (const change of event.changes) {
        if (change.kind === 'put' && change.entry.key === leaderKey) this.#free = false;
        if (change.kind === 'delete' && change.key === leaderKey) this.#free = true;
      }
    }
    if (this.#free) this.#onFree();
  }

  async #run(): Promise<void> {
    const { signal } = this.#end;
    const { logger, random } = this.#parts;
    const reasons = new OncePerReason();
    for (let failures = 0; !signal.aborted; ) {
      await this.#untilFree();
      if (signal.aborted) return;
      const error = await this.#serve().then(
        () => undefined,
        (rejection: unknown) => rejection,
      );
      const failure = error === undefined ? undefined : describe(error);
      if (reasons.isNew('lead', failure) && !signal.aborted) {
        logger.warn(
          { event: 'acme-not-leading', reason: failure },
          `this balancer does not order certificates: ${failure}`,
        );
      }
      failures = failure === undefined ? 0 : failures + 1;
      // Meanwhile the registry tells who has the key now.
      const backoff = error instanceof GaveUp ? standBack : retry;
      await aborted(timeLimit(backoffMs(backoff, failures, random()), signal));
    }
  }

  async #untilFree(): Promise<void> {
    if (this.#free) return;
    const { promise, resolve } = deferred();
    this.#onFree = resolve;
    await promise;
  }

  /** Leads once, if nobody else does. */
  async #serve(): Promise<void> {
    const { registry, id, logger, prepare, lead } = this.#parts;
    await prepare();
    const over = new AbortController();
    const end = () => over.abort();
    const signal = AbortSignal.any([this.#end.signal, over.signal]);
    const session = registry.openSession({
      ttlMs,
      mayReplace: () => false,
      // A key that was put again has another revision: somebody else may have led meanwhile.
      onEvent: ({ kind }) => (kind === 'taken' || kind === 'restored' ? end() : undefined),
    });
    try {
      const since = await put(session, id, signal);
      if (since === undefined) return;
      logger.info({ event: 'acme-leader', revision: String(since) }, 'this balancer orders certificates from now on');
      const write = (changes: readonly GuardedChange[]) => this.#write(changes, since, signal, end);
      await lead({ signal, write });
      if (!this.#end.signal.aborted) {
        logger.warn(
          { event: 'acme-leader-ended' },
          'this balancer orders no certificates any more: its lease was lost',
        );
      }
    } finally {
      await session.close(timeLimit(2000));
    }
  }

  async #write(
    changes: readonly GuardedChange[],
    since: Revision,
    signal: AbortSignal,
    end: () => void,
  ): Promise<Revision> {
    const { registry, random } = this.#parts;
    const unwritten = { ranges: [leaderKeys], since };
    for (let failures = 0; ; ) {
      if (signal.aborted) throw new NotWritten('this balancer does not lead any more');
      try {
        const result = await registry.transact({ changes, unwritten }, signal);
        if (result.kind === 'done') return result.revision;
        if (result.kind === 'too-many') throw new Error(`the registry takes only ${result.operations} operations`);
        // An attempt before may have been carried out without an answer.
        const earlier = failures > 0 ? await this.#isThere(changes, signal) : undefined;
        if (earlier !== undefined) return earlier;
        if (result.keys.includes(leaderKey)) end();
        throw new NotWritten(`somebody else has changed ${result.keys.join(', ')}`);
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'registry-unreachable') throw error;
        failures += 1;
        await aborted(timeLimit(backoffMs(retry, failures, random()), signal));
      }
    }
  }

  /** The revision at which the registry has just what these changes make; undefined: it does not. */
  async #isThere(changes: readonly GuardedChange[], signal: AbortSignal): Promise<Revision | undefined> {
    let newest: Revision | undefined;
    for (const { key, value } of changes) {
      const { entries, revision } = await this.#parts.registry.read(key, signal);
      const found = entries.find((entry) => entry.key === key);
      if (found?.value !== value) return undefined;
      const at = found?.revision ?? revision;
      if (newest === undefined || at > newest) newest = at;
    }
    return newest;
  }
}

/** The revision since which this balancer has the key; undefined: another one has it. */
async function put(session: Session, id: string, signal: AbortSignal): Promise<Revision | undefined> {
  try {
    return await session.put(leaderKey, JSON.stringify({ id }), signal);
  } catch (error) {
    if (signal.aborted || (error instanceof Fault && error.code === 'key-owned')) return undefined;
    throw error;
  }
}
