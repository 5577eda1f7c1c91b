import type { Entry, Follower, KeyRange, Registry, RegistryEvent } from '../../src/registry/registry.ts';
import { until } from '../support/until.ts';

/**
 * Follows a registry, folds what it says, and remembers everything it said that breaks the port's rules: a snapshot
 * first, revisions that only go up, and changes in order within them.
 */
export class Recorder {
  readonly events: RegistryEvent[] = [];
  readonly violations: string[] = [];
  readonly view = new Map<string, Entry>();
  /** Every change after the first snapshot: `12 put key=value`, `13 delete key`. */
  readonly changes: string[] = [];
  revision = -1n;
  /** For each key the last that was said of it, and by whom: what a violation is explained with. */
  readonly #said = new Map<string, string[]>();
  #member = 'nobody yet';
  #cluster: string | undefined;
  readonly #follower: Follower;

  constructor(registry: Registry, range?: KeyRange, onEvent: (event: RegistryEvent) => void = () => undefined) {
    this.#follower = registry.follow((event) => {
      this.#take(event);
      onEvent(event);
    }, range);
  }

  values(): Record<string, string> {
    return Object.fromEntries([...this.view.values()].map(({ key, value }) => [key, value]).sort());
  }

  started(): Promise<true> {
    return until('the first snapshot', () => this.revision >= 0n || undefined);
  }

  /** Waits until the follower was told everything up to this revision. */
  async reached(revision: bigint): Promise<void> {
    await until(`revision ${revision} (${this.revision} is the last)`, () => this.revision >= revision, { everyMs: 2 });
  }

  async sees(key: string, value: string | undefined, deadlineMs = 30_000): Promise<void> {
    await until(
      `${key} is ${value} (view: ${JSON.stringify(this.values())})`,
      () => this.view.get(key)?.value === value,
      {
        everyMs: 2,
        deadlineMs,
      },
    );
  }

  close(): Promise<void> {
    return this.#follower.close();
  }

  #take(event: RegistryEvent): void {
    this.events.push(event);
    switch (event.kind) {
      case 'connected':
        this.#member = event.member;
        return;
      case 'disconnected':
        this.#member = `nobody (${event.reason})`;
        return;
      case 'progress':
        if (event.revision < this.revision) this.#violation(`progress went back to ${event.revision}`);
        this.revision = event.revision;
        return;
      case 'snapshot':
        if (event.cluster === this.#cluster && event.revision < this.revision) {
          this.#violation(`a snapshot went back to ${event.revision}`);
        }
        this.#cluster = event.cluster;
        for (const key of this.view.keys()) {
          if (!event.entries.has(key)) this.#note(key, `${event.revision} not in the snapshot`);
        }
        this.view.clear();
        for (const [key, entry] of event.entries) {
          this.#note(key, `${event.revision} in the snapshot, of ${entry.revision}`);
          if (entry.key !== key) this.#violation(`${entry.key} stands under ${key}`);
          if (entry.revision > event.revision) this.#violation(`${key} is newer than its snapshot`, key);
          this.view.set(key, entry);
        }
        this.revision = event.revision;
        return;
      case 'changes':
        this.#takeChanges(event);
    }
  }

  #takeChanges(event: Extract<RegistryEvent, { kind: 'changes' }>): void {
    if (this.#cluster === undefined) this.#violation('changes came before a snapshot');
    if (event.changes.length === 0) this.#violation('an empty set of changes');
    let at = this.revision;
    for (const change of event.changes) {
      const { revision } = change.kind === 'put' ? change.entry : change;
      if (revision <= this.revision) this.#violation(`revision ${revision} came after ${this.revision}`);
      if (revision < at) this.#violation(`revision ${revision} came after ${at}, in one event`);
      at = revision;
      const key = change.kind === 'put' ? change.entry.key : change.key;
      this.#note(key, `${revision} ${change.kind} by ${this.#member}`);
      if (change.kind === 'put') {
        this.view.set(change.entry.key, change.entry);
        this.changes.push(`${revision} put ${change.entry.key}=${change.entry.value}`);
      } else {
        if (!this.view.delete(change.key)) this.#violation(`${key} was deleted and not there`, key);
        this.changes.push(`${revision} delete ${key}`);
      }
    }
    if (at !== event.revision) this.#violation(`the event says ${event.revision}, its last change ${at}`);
    this.revision = event.revision;
  }

  #note(key: string, what: string): void {
    const said = this.#said.get(key) ?? [];
    this.#said.set(key, [...said.slice(-5), what]);
  }

  #violation(text: string, key?: string): void {
    const said = key === undefined ? undefined : this.#said.get(key);
    this.violations.push(said === undefined ? text : `${text} (${said.join('; ')})`);
  }

  /** The last events in short, for whoever has to find out why a test failed. */
  story(): string {
    return this.events.slice(-200).map(inShort).join('\n');
  }
}

function inShort(event: RegistryEvent): string {
  switch (event.kind) {
    case 'connected':
      return `connected to ${event.member}`;
    case 'disconnected':
      return `disconnected: ${event.reason}`;
    case 'progress':
      return `${event.revision} progress`;
    case 'snapshot':
      return `${event.revision} snapshot of ${event.entries.size}`;
    case 'changes':
      return event.changes
        .map((change) =>
          change.kind === 'put'
            ? `${change.entry.revision} put ${change.entry.key}`
            : `${change.revision} delete ${change.key}`,
        )
        .join(', ');
  }
}
