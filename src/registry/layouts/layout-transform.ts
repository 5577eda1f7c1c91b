import { serviceOfKey } from '../../model/key.ts';
import type { Revision } from '../../model/revision.ts';
import type { Change, Entry, RegistryEvent } from '../registry.ts';
import type { Layout } from './layout.ts';

/** A foreign entry that should be an instance and is none. If its key had a good value before, that value stays. */
export type LayoutRejection = { readonly key: string; readonly reason: string; readonly revision: Revision };

export type Transformed = {
  readonly event: RegistryEvent;
  readonly rejected: readonly LayoutRejection[];
};

/** The foreign entries for one of our keys, by their foreign keys. */
type About = { readonly entries: Map<string, Weighed>; readonly weights: Map<string, number> };

/** A mapped entry, and the relative weight in its value. */
type Weighed = { readonly entry: Entry; readonly weight: number | undefined };

/** The value of one of our keys, with its weight in HAProxy's range; undefined for the default. */
type Effective = { readonly entry: Entry; readonly weight: number | undefined };

/**
 * Turns the events of a foreign tree into the events of a tree with our layout. Each event becomes exactly one, with the same
 * revision, so that following has no gap. If several foreign keys mean one instance, the first of them by name counts, in any
 * order of arrival. A weight may be a key of its own, which changes the weights of all instances of its service.
 */
export class LayoutTransform {
  readonly #layout: Layout;
  /** By our keys, grouped by service. */
  readonly #services = new Map<string, Map<string, About>>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  take(event: RegistryEvent): Transformed {
    switch (event.kind) {
      case 'snapshot':
        return this.#snapshot(event);
      case 'changes':
        return this.#changes(event);
      case 'progress':
      case 'connected':
      case 'disconnected':
        return { event, rejected: [] };
    }
  }

  #snapshot(event: Extract<RegistryEvent, { kind: 'snapshot' }>): Transformed {
    const rejected: LayoutRejection[] = [];
    const before = new Map(this.#services);
    this.#services.clear();
    for (const entry of event.entries.values()) {
      const rejection = this.#put(entry);
      if (rejection === undefined) continue;
      rejected.push(rejection);
      this.#keepLastGood(entry.key, before);
    }
    const entries = new Map<string, Entry>();
    for (const keys of this.#services.values())
      for (const [key, effective] of effectiveOf(keys, this.#layout.unsetWeight)) entries.set(key, written(effective));
    return { event: { ...event, entries }, rejected };
  }

  #keepLastGood(foreign: string, before: ReadonlyMap<string, ReadonlyMap<string, About>>): void {
    const key = this.#keyOf(foreign);
    const lastGood = key === undefined ? undefined : before.get(serviceOf(key))?.get(key);
    const entry = lastGood?.entries.get(foreign);
    if (key !== undefined && entry !== undefined) this.#about(key).entries.set(foreign, entry);
    const weight = lastGood?.weights.get(foreign);
    if (key !== undefined && weight !== undefined) this.#about(key).weights.set(foreign, weight);
  }

  #changes(event: Extract<RegistryEvent, { kind: 'changes' }>): Transformed {
    const rejected: LayoutRejection[] = [];
    const changes: Change[] = [];
    for (const change of event.changes) {
      const foreign = change.kind === 'put' ? change.entry.key : change.key;
      const key = this.#keyOf(foreign);
      const wasWeighed = this.#isWeighed(key);
      const before = this.#effectiveOf(key, wasWeighed);
      if (change.kind === 'put') {
        const rejection = this.#put(change.entry);
        if (rejection !== undefined) rejected.push(rejection);
      } else if (key !== undefined) this.#delete(key, foreign);
      const after = this.#effectiveOf(key, wasWeighed || this.#isWeighed(key));
      const at = change.kind === 'put' ? change.entry.revision : change.revision;
      for (const one of new Set([...before.keys(), ...after.keys()])) {
        const is = after.get(one);
        // Other keys differ in their weight at most.
        const was = before.get(one) ?? (one === key ? undefined : is && { entry: is.entry, weight: undefined });
        if (was?.entry === is?.entry && was?.weight === is?.weight) continue;
        // An older entry may count again because another one went. It gets the revision of this change.
        changes.push(
          is === undefined
            ? { kind: 'delete', key: one, revision: at }
            : { kind: 'put', entry: { ...written(is), revision: at } },
        );
      }
    }
    if (changes.length === 0) return { event: { kind: 'progress', revision: event.revision }, rejected };
    return { event: { ...event, changes }, rejected };
  }

  #put(entry: Entry): LayoutRejection | undefined {
    const mapped = this.#layout.map(entry.key, entry.value);
    switch (mapped.kind) {
      case 'instance': {
        const own = { ...entry, key: mapped.key, value: mapped.value };
        this.#about(mapped.key).entries.set(entry.key, { entry: own, weight: mapped.weight });
        return undefined;
      }
      case 'weight':
        this.#about(mapped.key).weights.set(entry.key, mapped.weight);
        return undefined;
      case 'ignored':
        return undefined;
      case 'rejected':
        return { key: entry.key, reason: mapped.reason, revision: entry.revision };
    }
  }

  #about(key: string): About {
    const service = serviceOf(key);
    const keys = this.#services.get(service) ?? new Map<string, About>();
    this.#services.set(service, keys);
    const about: About = keys.get(key) ?? { entries: new Map(), weights: new Map() };
    keys.set(key, about);
    return about;
  }

  #delete(key: string, foreign: string): void {
    const keys = this.#services.get(serviceOf(key));
    const about = keys?.get(key);
    about?.entries.delete(foreign);
    about?.weights.delete(foreign);
    if (about?.entries.size === 0 && about.weights.size === 0) keys?.delete(key);
    if (keys?.size === 0) this.#services.delete(serviceOf(key));
  }

  /** Whether an instance of this key's service has a weight that counts relative to the others. */
  #isWeighed(key: string | undefined): boolean {
    if (key === undefined || this.#layout.unsetWeight === undefined) return false;
    for (const { entries, weights } of this.#services.get(serviceOf(key))?.values() ?? []) {
      if (weights.size > 0) return true;
      for (const { weight } of entries.values()) if (weight !== undefined) return true;
    }
    return false;
  }

  /** Updates the value of this key; with `whole`, of each key of its service. */
  #effectiveOf(key: string | undefined, whole: boolean): ReadonlyMap<string, Effective> {
    const keys = key === undefined ? undefined : this.#services.get(serviceOf(key));
    if (key === undefined || keys === undefined) return new Map();
    if (whole) return effectiveOf(keys, this.#layout.unsetWeight);
    const about = keys.get(key);
    return about === undefined ? new Map() : effectiveOf(new Map([[key, about]]), undefined);
  }

  #keyOf(foreign: string): string | undefined {
    const mapped = this.#layout.mapKey(foreign);
    return mapped.ok ? mapped.value?.key : undefined;
  }
}

const serviceOf = (key: string): string => serviceOfKey(key) ?? '';

/** The values of the keys of one service. */
function effectiveOf(
  keys: ReadonlyMap<string, About>,
  unsetWeight: number | undefined,
): ReadonlyMap<string, Effective> {
  const found = new Map<string, Entry>();
  const given = new Map<string, number | undefined>();
  for (const [key, { entries, weights }] of keys) {
    const first = firstByName(entries);
    if (first === undefined) continue;
    found.set(key, first.entry);
    given.set(key, first.weight ?? firstByName(weights));
  }
  const scaled = unsetWeight === undefined ? undefined : relativeWeights(given, unsetWeight);
  return new Map([...found].map(([key, entry]) => [key, { entry, weight: scaled?.get(key) }]));
}

function firstByName<T>(candidates: ReadonlyMap<string, T>): T | undefined {
  let first: string | undefined;
  for (const foreign of candidates.keys()) if (first === undefined || foreign < first) first = foreign;
  return first === undefined ? undefined : candidates.get(first);
}

/** The value is ours by now, so that it is JSON for certain. */
function written({ entry, weight }: Effective): Entry {
  if (weight === undefined) return entry;
  return { ...entry, value: JSON.stringify({ ...JSON.parse(entry.value), weight }) };
}

const ours = 256;

/**
 * The weights of a service's instances in HAProxy's range, 0 to 256, from weights that count relative to each other and that
 * have no bound. `given` has undefined for an instance without a weight, which counts as `unset`. Gives undefined for all when they
 * are equal, so that they have our default weight.
 */
function relativeWeights<K>(
  given: ReadonlyMap<K, number | undefined>,
  unset: number,
): ReadonlyMap<K, number | undefined> {
  const weights = [...given.values()].map((weight) => weight ?? unset);
  const largest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  const equal = largest > 0 && weights.every((weight) => weight === largest);
  return new Map([...given].map(([key, weight = unset]) => [key, equal ? undefined : scaled(weight, largest)]));
}

/** At least 1 for what is not 0, because HAProxy sends nothing to a weight of 0. */
function scaled(weight: number, largest: number): number {
  if (weight === 0) return 0;
  return Math.max(1, Math.round((weight * ours) / largest));
}
