import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { Troubles } from '../observe/troubles.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Running } from './running.ts';
import type { Timers } from './timers.ts';

type ConfigDriftParts = {
  readonly link: Pick<RuntimeLink, 'loadedFrom' | 'workerPid'>;
  readonly files: Pick<StateFiles, 'mark' | 'touchedByOthers'>;
  readonly running: Pick<Running, 'drift' | 'foreign'>;
  readonly reloads: Reloads;
  readonly troubles: Troubles;
  readonly timers: Timers;
  /** A reload may be due. */
  readonly wake: () => void;
};

const retryMs = { first: 1000, most: 300_000 };

/**
 * Sees that the worker was loaded from the configuration that pointsman wrote. What differs is told as drift and healed by a
 * reload; when a reload does not heal it, HAProxy reads another file, and it is tried again ever more seldom.
 */
export class ConfigDrift {
  readonly #parts: ConfigDriftParts;
  #failures = 0;

  constructor(parts: ConfigDriftParts) {
    this.#parts = parts;
  }

  /** A worker is spoken with that may be another one than before. */
  look(): void {
    const { running, reloads, troubles, timers, wake } = this.#parts;
    const difference = this.#difference();
    if (difference === undefined) {
      this.#failures = 0;
      troubles.over('configuration');
      timers.disarm('drift');
      return;
    }
    if (timers.has('drift') || reloads.needs('drift')) return;
    const heal = () => {
      reloads.need({ kind: 'drift' });
      reloads.tryAgain();
      wake();
    };
    troubles.failed('configuration', difference);
    if (this.#failures === 0) {
      running.drift.found([difference]);
      heal();
    } else timers.arm('drift', Math.min(retryMs.first * 2 ** this.#failures, retryMs.most), heal);
    this.#failures += 1;
  }

  #difference(): string | undefined {
    const { link, files, running } = this.#parts;
    const { loadedFrom, workerPid } = link;
    if (loadedFrom === undefined) return undefined;
    if (loadedFrom.mark !== files.mark) {
      return `the worker ${workerPid} was loaded from another haproxy.cfg than pointsman wrote last`;
    }
    // The mark stands in a file that somebody edited as well.
    return running.foreign && files.touchedByOthers
      ? `somebody changed haproxy.cfg or its map, and reloaded HAProxy (worker ${workerPid})`
      : undefined;
  }
}
