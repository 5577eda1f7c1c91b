import { expect } from 'vitest';
import { revision } from '../../src/model/revision.ts';
import { applicationOf, mayHoldOwn } from '../../src/registry/holding/areas.ts';
import type { Holding, HoldingPolicy } from '../../src/registry/holding/effective-registry.ts';
import { emptyHolding, type HoldingStep, takeEvent } from '../../src/registry/holding/holding.ts';
import type { Change, Entry, History, RegistryEvent } from '../../src/registry/registry.ts';

export const policy: HoldingPolicy = {
  holdMs: undefined,
  deletions: { allShare: 1, serviceShare: undefined, minimum: 4, windowMs: 10 },
  mayHold: mayHoldOwn,
  standsFor: applicationOf,
};

export type Put = { readonly value?: string; readonly lease?: string };

/** The effective registry, and the transitions and events that follow from its steps. */
export class Story {
  holding: Holding;
  readonly transitions: string[] = [];
  /** The entries that a follower knows. */
  readonly view = new Map<string, Entry>();
  #now = 0;
  #revision = 10n;

  constructor(settings: Partial<HoldingPolicy> = {}) {
    this.holding = emptyHolding({ ...policy, ...settings });
  }

  at(now: number): this {
    this.#now = now;
    return this;
  }

  entry(key: string, { value = '10.0.0.1:80', lease }: Put = {}): Entry {
    const leased = lease !== undefined;
    return { key, value, revision: revision(this.#revision), leased, ...(leased ? { lease } : {}) };
  }

  snapshot(history: History, entries: Readonly<Record<string, Put>>, cluster = 'c', at?: bigint): this {
    this.#revision = at ?? this.#revision + 1n;
    const map = new Map(Object.entries(entries).map(([key, put]) => [key, this.entry(key, put)]));
    return this.#take({ kind: 'snapshot', history, cluster, revision: revision(this.#revision), entries: map });
  }

  /** Puts or (undefined) deletes, all in one revision. */
  change(changes: Readonly<Record<string, Put | undefined>>): this {
    return this.changes(changes);
  }

  /** Several revisions in one event. */
  changes(...revisions: readonly Readonly<Record<string, Put | undefined>>[]): this {
    const list = revisions.flatMap((changes) => {
      this.#revision += 1n;
      const at = revision(this.#revision);
      return Object.entries(changes).map(
        ([key, put]): Change =>
          put === undefined ? { kind: 'delete', key, revision: at } : { kind: 'put', entry: this.entry(key, put) },
      );
    });
    return this.#take({ kind: 'changes', revision: revision(this.#revision), changes: list });
  }

  step(step: HoldingStep): this {
    this.holding = step.holding;
    for (const transition of step.transitions) {
      if (transition.kind === 'replaced') this.transitions.push('replaced');
      else if (transition.kind === 'held') {
        this.transitions.push(`held ${transition.entries.map(({ key }) => key).sort()} (${transition.because.kind})`);
      } else this.transitions.push(`let go ${[...transition.keys].sort()} (${transition.reason})`);
    }
    this.#fold(step.event);
    return this;
  }

  get keys(): readonly string[] {
    return [...this.view.keys()].sort();
  }

  get heldKeys(): readonly string[] {
    return [...this.view.values()].flatMap(({ key, held }) => (held === undefined ? [] : [key])).sort();
  }

  #take(event: RegistryEvent): this {
    return this.step(takeEvent(this.holding, event, { now: this.#now, wall: 1000 + this.#now }));
  }

  #fold(event: RegistryEvent | undefined): void {
    if (event?.kind === 'snapshot') {
      this.view.clear();
      for (const [key, entry] of event.entries) this.view.set(key, entry);
    }
    if (event?.kind !== 'changes') return;
    expect(event.changes.length).toBeGreaterThan(0);
    for (const change of event.changes) {
      if (change.kind === 'put') this.view.set(change.entry.key, change.entry);
      else this.view.delete(change.key);
    }
  }
}

export const first: History = { kind: 'first' };
export const continued: History = { kind: 'continued' };
export const replaced: History = { kind: 'replaced', reason: 'data was restored' };
export const draining = '{"address":"10.0.0.1","port":80,"state":"draining","owner":"o"}';

export const full = {
  'instances/web/a': { lease: '1' },
  'instances/web/hand': {},
  'services/web': { value: '{}' },
  'overrides/web/*': { value: '{}' },
  'keys/x': { value: '1' },
};

export const none = (entries: Readonly<Record<string, unknown>>): Readonly<Record<string, undefined>> =>
  Object.fromEntries(Object.keys(entries).map((key) => [key, undefined]));
