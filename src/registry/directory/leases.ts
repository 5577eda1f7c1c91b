import { stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { describe } from '../../model/fault.ts';
import type { LeaseReference } from './journal-state.ts';
import type { Ledger } from './ledger.ts';
import type { DirectoryPaths } from './paths.ts';
import type { DirectoryTree } from './tree.ts';

/** One observation of a lease's heartbeat: the mtime of its file, undefined without a file. */
export type Heartbeat = { readonly beat: bigint | undefined; readonly ttlMs: number };

type Watched = { beat: bigint | undefined; silentMs: number; lookedAt: number };

/**
 * Decides which leases are dead: those whose heartbeat did not change for their TTL, by this process's monotonic clock. Clocks
 * of other machines and jumps of the wall clock do not matter, except at the first look, when only the file's age by the wall
 * clock is known.
 *
 * Time between two looks counts only up to `mostCountedMs`: when this process or the whole machine slept, the owners of the
 * leases may have slept too, and need time for a heartbeat.
 */
export class Silence {
  readonly #mostCountedMs: number;
  readonly #watched = new Map<string, Watched>();

  constructor(mostCountedMs: number) {
    this.#mostCountedMs = mostCountedMs;
  }

  /** Takes a look and answers whether the lease is dead. `ageMs` is its wall-clock age, for a first look. */
  look(lease: string, heartbeat: Heartbeat, ageMs: number, now: number): boolean {
    const known = this.#watched.get(lease);
    if (known === undefined) {
      const silentMs = Math.max(0, ageMs);
      this.#watched.set(lease, { beat: heartbeat.beat, silentMs, lookedAt: now });
      return silentMs > heartbeat.ttlMs;
    }
    const passed = Math.min(Math.max(0, now - known.lookedAt), this.#mostCountedMs);
    known.silentMs = known.beat === heartbeat.beat ? known.silentMs + passed : 0;
    known.beat = heartbeat.beat;
    known.lookedAt = now;
    return known.silentMs > heartbeat.ttlMs;
  }

  /** Forgets leases that hold nothing any more. */
  keepOnly(leases: ReadonlyMap<string, unknown>): void {
    for (const lease of this.#watched.keys()) if (!leases.has(lease)) this.#watched.delete(lease);
  }
}

export type LeasesParts = {
  readonly paths: DirectoryPaths;
  readonly ledger: Ledger;
  readonly tree: DirectoryTree;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Wall clock, in ms. */
  readonly wall: () => number;
};

const leaseName = /^[a-z0-9]{1,64}$/;
/** The longest time between two checks of the leases, in ms. */
const mostCheckMs = 1000;

/** The files whose age is a lease: their owners touch them, and all processes check their age. */
export class Leases {
  readonly #parts: LeasesParts;
  readonly #silence = new Silence(2 * mostCheckMs);

  constructor(parts: LeasesParts) {
    this.#parts = parts;
  }

  /** A heartbeat; makes the file when it is not there. */
  async beat(lease: LeaseReference): Promise<void> {
    const path = this.#path(lease.id);
    const now = this.#parts.wall() / 1000;
    try {
      await utimes(path, now, now);
    } catch {
      // The content is for people who look; programs read the TTL from the journal.
      await writeFile(path, `${JSON.stringify({ ttlMs: lease.ttlMs, pid: process.pid })}\n`);
    }
  }

  /** Ends a lease: its keys vanish in one revision, then their files. Resolves with the revision if there was one. */
  async revoke(lease: string, still: () => boolean = () => true): Promise<number | undefined> {
    const { ledger, tree } = this.#parts;
    let keys: readonly string[] = [];
    const at = ledger.commit((state) => {
      keys = [...(state.leases.get(lease)?.keys ?? [])];
      return keys.length > 0 && still() ? { op: 'revoke', lease } : undefined;
    });
    if (keys.length > 0 && at === undefined) return undefined;
    await tree.drop(keys);
    await unlink(this.#path(lease)).catch(() => {});
    return at;
  }

  /** Checks every lease once and ends the dead ones. */
  async endSilent(): Promise<void> {
    const { ledger, logger, now, wall } = this.#parts;
    const { leases } = ledger.state();
    this.#silence.keepOnly(leases);
    await Promise.all(
      [...leases.values()].map(async ({ reference }) => {
        const { id, ttlMs } = reference;
        const mtime = await this.#mtime(id);
        // Without its file, a lease has a TTL from now to be beaten again.
        const ageMs = mtime === undefined ? 0 : wall() - Number(mtime / 1_000_000n);
        const dead = this.#silence.look(id, { beat: mtime, ttlMs }, ageMs, now());
        if (!dead) return ledger.mute(id, false);
        try {
          if ((await this.revoke(id)) !== undefined) {
            logger.info(
              { event: 'lease-expired', lease: id, ttlMs },
              'the owner of these keys stopped renewing its lease',
            );
          }
        } catch (error) {
          ledger.mute(id, true);
          logger.debug(
            { event: 'lease-muted', lease: id, reason: describe(error) },
            'an expired lease cannot be revoked',
          );
        }
      }),
    );
  }

  /** How long until the next check: a fifth of the shortest TTL, 20 ms to 1 s. */
  nextCheckInMs(): number {
    let shortest = Number.POSITIVE_INFINITY;
    for (const { reference } of this.#parts.ledger.known?.leases.values() ?? []) {
      shortest = Math.min(shortest, reference.ttlMs);
    }
    return Math.min(Math.max(20, shortest / 5), mostCheckMs);
  }

  async #mtime(lease: string): Promise<bigint | undefined> {
    try {
      return (await stat(this.#path(lease), { bigint: true })).mtimeNs;
    } catch {
      return undefined;
    }
  }

  #path(lease: string): string {
    // The name comes from the journal, which anyone with access to the folder can write.
    return join(this.#parts.paths.leases, leaseName.test(lease) ? lease : 'none');
  }
}
