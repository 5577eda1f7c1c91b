import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import type { Troubles } from '../observe/troubles.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Loop } from './loop.ts';
import type { Running } from './running.ts';
import type { Timers } from './timers.ts';

type ConfigDriftParts = {
  readonly link: Pick<RuntimeLink, 'loadedFrom' | 'workerPid'>;
  readonly files: Pick<StateFiles, 'mark' | 'touchedByOthers'>;
  readonly running: Pick<Running, 'drift' | 'foreign'>;
  readonly reloads: Reloads;
  readonly troubles: Troubles;
  readonly timers: Timers;
  readonly loop: Pick<Loop, 'wake'>;
};

const retries = { firstMs: 2000, mostMs: 300_000 };

/**
 * Checks that the worker was loaded from the configuration that pointsman wrote. A difference is drift, and pointsman repairs it by a
 * reload. If the reload does not repair it, HAProxy reads another file: pointsman tries again, with a longer pause each time.
 */
export class ConfigDrift {
  readonly #parts: ConfigDriftParts;
  #failures = 0;

  constructor(parts: ConfigDriftParts) {
    this.#parts = parts;
  }

  /** Call after each connection to a worker: it may be another one than before. */
  look(): void {
    const { running, reloads, troubles, timers, loop } = this.#parts;
    const difference = this.#difference();
    if (difference === undefined) {
      this.#failures = 0;
      troubles.over('configuration');
      timers.disarm('drift');
      return;
    }
    if (timers.has('drift') || reloads.needs('drift')) return;
    const repair = () => {
      reloads.need({ kind: 'drift' });
      reloads.tryAgain();
      loop.wake();
    };
    troubles.failed('configuration', difference);
    if (this.#failures === 0) {
      running.drift.found([difference]);
      repair();
    } else timers.arm('drift', backoffMs(retries, this.#failures), repair);
    this.#failures += 1;
  }

  #difference(): string | undefined {
    const { link, files, running } = this.#parts;
    const { loadedFrom, workerPid } = link;
    if (loadedFrom === undefined) return undefined;
    if (loadedFrom.mark !== files.mark) {
      return `the worker ${workerPid} was loaded from another haproxy.cfg than pointsman wrote last`;
    }
    // A file that somebody edited has the mark, too.
    return running.foreign && files.touchedByOthers
      ? `somebody changed haproxy.cfg or its map, and reloaded HAProxy (worker ${workerPid})`
      : undefined;
  }
}
