import { type StatRow, statRows } from '../../haproxy/stat.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Loop, Timers } from './loop.ts';
import type { Running } from './running.ts';

type ReuseParts = Pick<BalancerParts, 'link' | 'now' | 'reuseIntervalMs'> & {
  readonly running: Pick<Running, 'addedAtRunTime'>;
  readonly reloads: Pick<Reloads, 'need' | 'tryAgain' | 'pending'>;
  readonly timers: Timers;
  readonly loop: Pick<Loop, 'wake'>;
};

/** A reload is worth its cost from this number of opened connections on. */
const leastConnections = 100;
const mostQuietMs = 30_000;

/**
 * An HAProxy before 2.6.18 opens a connection for each request to a server that was added at run time, until a reload.
 * pointsman makes this reload when no change came for a tenth of the interval (at most 30 s), and only if these servers
 * have traffic.
 */
export class Reuse {
  readonly #parts: ReuseParts;
  #reloadedAt: number | undefined;

  constructor(parts: ReuseParts) {
    this.#parts = parts;
  }

  /** A round changed HAProxy: wait again until no change comes. */
  changed(): void {
    const { link, running, reuseIntervalMs } = this.#parts;
    if (link.reuses || running.addedAtRunTime.size === 0 || reuseIntervalMs === undefined) return;
    this.#arm(Math.min(mostQuietMs, reuseIntervalMs / 10), reuseIntervalMs);
  }

  #arm(quietMs: number, intervalMs: number): void {
    const { timers, now } = this.#parts;
    const since = this.#reloadedAt === undefined ? intervalMs : now() - this.#reloadedAt;
    timers.arm('reuse', Math.max(quietMs, intervalMs - since), () => this.#look());
  }

  async #look(): Promise<void> {
    const { link, running, reloads, now, loop } = this.#parts;
    this.changed();
    const added = running.addedAtRunTime;
    if (added.size === 0 || !link.connected || reloads.pending.length > 0) return;
    const opened = connectionsOf([...statRows((await link.ask(['show stat -1 4 -1'])).join('\n'))], added);
    if (opened < leastConnections) return;
    this.#reloadedAt = now();
    reloads.need({ kind: 'no-reuse', servers: added.size });
    reloads.tryAgain();
    loop.wake();
  }
}

/** The connections that HAProxy opened to these HTTP servers, without servers that reused one or are in maintenance. */
export function connectionsOf(rows: readonly StatRow[], servers: ReadonlySet<string>): number {
  return rows
    .filter((cell) => servers.has(`${cell('pxname')}/${cell('svname')}`))
    .filter((cell) => cell('mode') === 'http' && cell('reuse') === '0' && !cell('status').startsWith('MAINT'))
    .reduce((sum, cell) => sum + Number(cell('connect')), 0);
}
