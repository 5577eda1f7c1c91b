import { Set as PersistentSet } from 'immutable';
import type { Entry, Held } from '../registry.ts';
import { isPartOfService, serviceOf } from './areas.ts';
import type { Holding, Moment } from './effective-registry.ts';
import { beyondBound, deletedByHand } from './mass-deletion.ts';

/** As an entry counts for the size of its service. */
const sizeOf = (entry: Entry | undefined): 0 | 1 => (entry === undefined || entry.held !== undefined ? 0 : 1);

/** A step that is being made. */
export class Making {
  readonly #before: Holding;
  readonly #entries: Holding['entries'];
  readonly #held: Holding['held'];
  #standIns: Holding['standIns'];
  /** How many more entries each service has than before; the empty name, which no service has, is the sum of all. */
  readonly #growth = new Map<string, number>();
  #recent: Holding['recent'];

  constructor(before: Holding) {
    this.#before = before;
    this.#entries = before.entries.asMutable();
    this.#held = before.held.asMutable();
    this.#standIns = before.standIns;
    this.#recent = before.recent;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  put(entry: Entry): void {
    const { key } = entry;
    const before = this.#entries.get(key);
    this.#count(key, sizeOf(entry) - sizeOf(before));
    this.#entries.set(key, entry);
    this.#unhold(key);
    if (entry.held !== undefined) {
      this.#held.set(key, entry);
      const stands = this.#before.policy.standsFor?.(entry);
      if (stands !== undefined) {
        this.#standIns = this.#standIns.update(stands, PersistentSet(), (keys) => keys.add(key));
      }
    }
    this.#recent = this.#recent.delete(key);
  }

  delete(key: string): void {
    this.#count(key, -sizeOf(this.#entries.get(key)));
    this.#entries.delete(key);
    this.#unhold(key);
  }

  /** Removes held entries that represent the same as a new one of these entries, and returns their keys. */
  giveWay(entries: Iterable<Entry>): readonly string[] {
    const gone: string[] = [];
    if (this.#standIns.isEmpty()) return gone;
    for (const { key } of entries) {
      // Of several changes of one key that came at once the last one counts.
      const entry = this.get(key);
      if (entry === undefined || entry.held !== undefined || this.#before.entries.has(key)) continue;
      const stands = this.#before.policy.standsFor?.(entry);
      for (const held of (stands === undefined ? undefined : this.#standIns.get(stands)) ?? []) {
        this.delete(held);
        gone.push(held);
      }
    }
    return gone;
  }

  hold(entries: readonly Entry[], kind: Held['kind'], reason: string, { now, wall }: Moment) {
    const { holdMs } = this.#before.policy;
    const because: Held = { kind, reason, at: wall, until: holdMs === undefined ? undefined : now + holdMs };
    const held = entries.map((entry): Entry => ({ ...entry, held: because }));
    for (const entry of held) this.put(entry);
    return { kind: 'held', because, entries: held } as const;
  }

  /** Holds what was deleted within the window if, with these of one revision, it is beyond the bound. */
  bound(ofOneRevision: readonly Entry[], moment: Moment): ReturnType<Making['hold']> | undefined {
    const { deletions } = this.#before.policy;
    if (deletions === undefined) return undefined;
    const byHand = deletedByHand(ofOneRevision);
    if (byHand.length === 0) return undefined;
    const { now } = moment;
    this.#recent = this.#recent
      .filter((one) => one.at + deletions.windowMs > now)
      .withMutations((all) => {
        for (const entry of byHand) all.set(entry.key, { entry, at: now });
      });
    const sizes = { all: this.#size(''), of: (service: string) => this.#size(service) };
    const recent = this.#recent.valueSeq().map(({ entry }) => entry);
    const beyond = beyondBound(recent, byHand, sizes, deletions);
    return beyond && this.hold(beyond.entries, 'deleted', beyond.reason, moment);
  }

  result(): Holding {
    return {
      ...this.#before,
      entries: this.#entries.asImmutable(),
      held: this.#held.asImmutable(),
      standIns: this.#standIns,
      sizes: this.#before.sizes.withMutations((sizes) => {
        for (const name of this.#growth.keys()) {
          const size = this.#size(name);
          if (size === 0) sizes.delete(name);
          else sizes.set(name, size);
        }
      }),
      recent: this.#recent,
    };
  }

  #unhold(key: string): void {
    const known = this.#held.get(key);
    if (known === undefined) return;
    this.#held.delete(key);
    const stands = this.#before.policy.standsFor?.(known);
    const others = stands === undefined ? undefined : this.#standIns.get(stands)?.delete(key);
    if (stands === undefined || others === undefined) return;
    this.#standIns = others.isEmpty() ? this.#standIns.delete(stands) : this.#standIns.set(stands, others);
  }

  #size(name: string): number {
    return (this.#before.sizes.get(name) ?? 0) + (this.#growth.get(name) ?? 0);
  }

  #count(key: string, difference: number): void {
    if (difference === 0) return;
    const service = isPartOfService(key) ? serviceOf(key) : undefined;
    if (service === undefined) return;
    for (const name of [service, '']) this.#growth.set(name, (this.#growth.get(name) ?? 0) + difference);
  }
}
