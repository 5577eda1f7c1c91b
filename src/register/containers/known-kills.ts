import type { EngineEvent } from '../../engine/container.ts';

/**
 * The `kill` events of the present runs of all containers, since an inspection does not say that a container was asked to end. Of several
 * with one signal the last one is enough, so an application that gets SIGHUP every minute takes no memory.
 */
export class KnownKills {
  readonly #kills = new Map<string, Map<number | undefined, EngineEvent>>();

  /** Takes an event of any kind. */
  add(event: EngineEvent): void {
    const { container, action, signal } = event;
    switch (action) {
      case 'kill': {
        const kills = this.#kills.get(container) ?? new Map<number | undefined, EngineEvent>();
        this.#kills.set(container, kills);
        const before = kills.get(signal);
        // A past event may be read after a later one arrived.
        if (before === undefined || Number(before.timeNano) < Number(event.timeNano)) kills.set(signal, event);
        return;
      }
      // The run is over, and its kills do not count for the next one.
      case 'die':
      case 'destroy':
      case 'remove':
        this.#kills.delete(container);
    }
  }

  of(container: string): readonly EngineEvent[] {
    return [...(this.#kills.get(container)?.values() ?? [])];
  }

  /** For a stream of events that begins again: the end of a run may be among the events that were lost. */
  clear(): void {
    this.#kills.clear();
  }
}
