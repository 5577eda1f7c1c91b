import { hostOfCertificate, hostOfOrder, hostOfRenewal, tokenOfChallenge } from '../model/acme/keys.ts';
import type { Revision } from '../model/revision.ts';
import {
  type Follower,
  isWithin,
  type KeyRange,
  keysFrom,
  type Registry,
  type RegistryEvent,
} from '../registry/registry.ts';

import type { Term } from './leadership.ts';

/** A key as it was last seen. One version of it is one object. */
export type Seen = { readonly value: string; readonly revision: Revision };

/** Account, orders, wishes; then certificates and challenges, which are next to each other. */
const ranges: readonly KeyRange[] = [
  keysFrom('acme/'),
  { first: 'certificates/', end: keysFrom('challenges/').end ?? '' },
];

/**
 * The entries that the leader works with. Its own writes count at once, and not only when the registry tells of them: otherwise it would order
 * again what it has just stored.
 */
export class LeaderEntries {
  readonly #followers: readonly Follower[];
  readonly #onChange: () => void;
  /** A removed key stays for a while: an older event may still tell of it. */
  readonly #entries = new Map<string, Seen | { readonly value: undefined; readonly revision: Revision }>();
  readonly #heard = new Set<KeyRange>();

  readonly #term: Term;

  constructor(registry: Registry, term: Term, onChange: () => void) {
    this.#term = term;
    this.#onChange = onChange;
    this.#followers = ranges.map((range) => registry.follow((event) => this.#take(range, event), range));
  }

  /** Whether the registry has told of everything once. */
  get complete(): boolean {
    return this.#heard.size === ranges.length;
  }

  get(key: string): Seen | undefined {
    const found = this.#entries.get(key);
    return found !== undefined && isThere(found) ? found : undefined;
  }

  /**
   * Writes values, or removes keys (`undefined`), in one revision, unless they are not as they were last seen. Rejects as `Term.write` does.
   */
  async write(values: Readonly<Record<string, string | undefined>>): Promise<Revision | undefined> {
    const changes = Object.entries(values).flatMap(([key, value]) => {
      const since = this.get(key)?.revision;
      return value === undefined && since === undefined ? [] : [{ key, value, since }];
    });
    if (changes.length === 0) return undefined;
    const revision = await this.#term.write(changes);
    for (const { key, value } of changes) this.#set(key, value, revision);
    this.#onChange();
    return revision;
  }

  /** Writes a value, or removes a key, unless it has changed since this revision; `since` is undefined for a key that was not there. */
  async replace(key: string, value: string | undefined, since: Revision | undefined): Promise<void> {
    if (this.get(key)?.revision === since) await this.write({ [key]: value });
  }

  certificates = (): readonly (readonly [string, Seen])[] => this.#all(hostOfCertificate);
  orders = (): readonly (readonly [string, Seen])[] => this.#all(hostOfOrder);
  renewals = (): readonly (readonly [string, Seen])[] => this.#all(hostOfRenewal);
  challenges = (): readonly (readonly [string, Seen])[] => this.#all(tokenOfChallenge);

  async close(): Promise<void> {
    await Promise.all(this.#followers.map((follower) => follower.close()));
  }

  #all(nameOf: (key: string) => string | undefined): readonly (readonly [string, Seen])[] {
    const found: (readonly [string, Seen])[] = [];
    for (const [key, seen] of this.#entries) {
      const name = nameOf(key);
      if (name !== undefined && isThere(seen)) found.push([name, seen]);
    }
    return found;
  }

  #take(range: KeyRange, event: RegistryEvent): void {
    switch (event.kind) {
      case 'snapshot': {
        for (const [key, { revision }] of this.#entries) {
          if (isWithin(range, key) && !event.entries.has(key) && revision <= event.revision) this.#entries.delete(key);
        }
        for (const { key, value, revision } of event.entries.values()) this.#set(key, value, revision);
        this.#heard.add(range);
        break;
      }
      case 'changes':
        for (const change of event.changes) {
          if (change.kind === 'put') this.#set(change.entry.key, change.entry.value, change.entry.revision);
          else this.#set(change.key, undefined, change.revision);
        }
        break;
      case 'progress':
      case 'connected':
      case 'disconnected':
        return;
    }
    this.#onChange();
  }

  /** An event may be older than a write of this process. */
  #set(key: string, value: string | undefined, revision: Revision): void {
    const known = this.#entries.get(key);
    if (known !== undefined && known.revision >= revision) return;
    this.#entries.set(key, value === undefined ? { value, revision } : { value, revision });
  }
}

const isThere = (seen: { readonly value: string | undefined }): seen is Seen => seen.value !== undefined;
