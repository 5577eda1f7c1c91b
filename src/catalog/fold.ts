import { parseChallenge } from '../model/acme/challenge.ts';
import { tokenOfChallenge } from '../model/acme/keys.ts';
import type { DirtySet } from '../model/dirty-set.ts';
import type { Instance } from '../model/instance.ts';
import { areaOfKey, parseKey, serviceOfKey } from '../model/key.ts';
import type { Override, OverrideTarget } from '../model/override.ts';
import { type Parsed, rejected } from '../model/parsed.ts';
import type { Revision } from '../model/revision.ts';
import { acmeService } from '../model/route-target.ts';
import type { Entry } from '../registry/registry.ts';
import { Allocating, type Effects } from './allocating.ts';
import type { WaitingEntry } from './allocation.ts';
import type { Catalog, Folded, Rejection, Removal } from './catalog.ts';
import { beyondChallenges, ChallengeFold } from './challenges.ts';
import { instanceBytes } from './cost.ts';
import { type EntrySubject, entrySubject, isOfOperators, type ParsedEntry, parseEntry } from './entry.ts';
import {
  beyondOverrides,
  beyondServices,
  beyondShare,
  beyondValue,
  type CatalogLimits,
  overrideRoom,
  rejectedKey,
} from './limits.ts';
import type { Ranked } from './ranking.ts';
import { Remembering } from './remembering.ts';
import { sinceOf } from './service.ts';
import { Serving } from './serving.ts';

/** One fold while it is made. */
export class Fold {
  readonly #before: Catalog;
  readonly #limits: CatalogLimits;
  readonly #serving: Serving;
  readonly #challenges: ChallengeFold;
  readonly #accepted: Catalog['accepted'];
  readonly #rejected: Remembering;
  readonly #rejections: Rejection[] = [];
  readonly #removals: Removal[] = [];
  readonly #shares: Allocating;
  readonly #overrideShares: Allocating;
  #late: Catalog['late'];

  constructor(catalog: Catalog, limits: CatalogLimits) {
    this.#before = catalog;
    this.#limits = limits;
    this.#serving = new Serving(catalog);
    this.#challenges = new ChallengeFold(catalog);
    this.#accepted = catalog.accepted.asMutable();
    this.#rejected = new Remembering(catalog);
    const { totalBytes: bytes, entries, instances } = limits;
    this.#shares = new Allocating(catalog.shares, { bytes, entries, instances });
    this.#overrideShares = new Allocating(catalog.overrideShares, overrideRoom(limits));
    this.#late = catalog.late;
  }

  put(entry: Entry): void {
    const { key, value } = entry;
    const parsed = parseKey(key);
    if (!parsed.ok) {
      this.#reject(entry, parsed.reason);
      return;
    }
    const subject = parsed.value;
    if (subject.kind === 'other') return;
    if (this.#late.size > 0) this.#late = this.#late.delete(key);
    if (subject.kind === 'challenge') {
      this.#putChallenge(subject.token, entry);
      return;
    }
    const shares = this.#sharesOf(subject);
    const waits = shares.waiting(subject.service, key);
    const before = waits?.entry ?? this.#accepted.get(key);
    // A policy with the same text may have been deleted and written again.
    const isSame = before?.value === value && (subject.kind !== 'policy' || sinceOf(before) === sinceOf(entry));
    if (isSame && waits === undefined) {
      this.#rejected.delete(key);
      this.#accepted.set(key, entry);
      if (sinceOf(before) !== sinceOf(entry)) shares.change(subject.service, key);
      return;
    }
    const read = entry.rejected === undefined ? this.#read(subject, entry) : rejected(entry.rejected);
    if (read.ok) {
      this.#ask(subject, entry, read.value);
      return;
    }
    this.#reject(entry, read.reason);
    // The last good value of an accepted key is still served.
    if (waits !== undefined && !this.#accepted.has(key)) this.#forget(subject, key, waits.bytes);
  }

  delete(key: string): void {
    this.#rejected.delete(rejectedKey(key));
    const parsed = parseKey(key);
    if (!parsed.ok || parsed.value.kind === 'other') return;
    const subject = parsed.value;
    if (this.#late.size > 0) this.#late = this.#late.delete(key);
    if (subject.kind === 'challenge') {
      this.#accepted.delete(key);
      this.#challenges.delete(subject.token);
      return;
    }
    const bytes = this.#bytesOf(subject, key);
    if (bytes !== undefined) this.#forget(subject, key, bytes);
    if (subject.kind === 'policy') this.#serving.withhold(subject.service, false);
    const known = this.#accepted.get(key);
    if (known === undefined) return;
    if (subject.kind === 'instance') {
      const instance = this.#serving.get(subject.service)?.instances.get(subject.id);
      // The lease of a held entry ended before. Now an operator, or its health check, released it.
      const leased = known.leased && known.held === undefined;
      if (instance !== undefined) this.#removals.push({ instance, leased });
    }
    this.#remove(subject, key);
  }

  override(target: OverrideTarget, override: Override | undefined, why: 'removed' | 'expired'): void {
    this.#serving.override(target, override, why);
  }

  result(revision: Revision): Folded {
    this.#takeLate();
    const shares = this.#shares.allocate(this.#effects('instances', beyondShare));
    const overrideShares = this.#overrideShares.allocate(this.#effects('overrides', beyondOverrides));
    const { services, overrides, claims, withheld, dirty, changes, transitions } = this.#serving.result();
    const challenges = this.#challenges.result();
    const catalog = {
      ...this.#before,
      ...{ revision, services, overrides, claims, challenges, withheld, shares, overrideShares },
      late: this.#late,
      accepted: this.#accepted.asImmutable(),
      ...this.#rejected.result(),
    };
    const { rejections, removals } = { rejections: this.#rejections, removals: this.#removals };
    const all = this.#challenges.changed ? withAcme(dirty) : dirty;
    return { catalog, dirty: all, changes, rejections, removals, overrides: transitions };
  }

  #putChallenge(token: string, entry: Entry): void {
    const { key, value } = entry;
    if (!this.#challenges.hasRoomFor(token)) {
      this.#reject(entry, beyondChallenges);
      this.#late = this.#late.set(key, entry);
      return;
    }
    const read = entry.rejected === undefined ? parseChallenge(value) : rejected(entry.rejected);
    if (!read.ok) {
      this.#reject(entry, read.reason);
      return;
    }
    this.#rejected.delete(key);
    this.#accepted.set(key, entry);
    this.#challenges.set(token, read.value);
  }

  #reject(entry: Entry, reason: string): void {
    const { revision } = entry;
    const key = rejectedKey(entry.key);
    const rejection = { key, reason, revision, lastGoodServes: this.#accepted.has(key) };
    const known = this.#rejected.get(key);
    this.#rejected.set(rejection);
    if (known?.reason !== reason) this.#rejections.push(rejection);
    const subject = rejection.lastGoodServes ? undefined : entrySubject(entry.key);
    if (subject?.kind === 'policy') this.#serving.withhold(subject.service, true);
  }

  /** Accepts a well-formed entry if its service gets all the room that it asks for; otherwise the entry waits for the end of the fold. */
  #ask(subject: EntrySubject, entry: Entry, read: ParsedEntry): void {
    const { key } = entry;
    const { service, kind } = subject;
    const shares = this.#sharesOf(subject);
    if (!isOfOperators(kind) && !shares.asks(service) && shares.services >= this.#limits.services) {
      this.#reject(entry, beyondServices(this.#limits));
      this.#late = this.#late.set(key, entry);
      return;
    }
    const before = this.#bytesOf(subject, key);
    const isNew = before === undefined;
    if (isNew || before !== read.bytes) this.#count(subject, read.bytes - (before ?? 0), isNew ? 1 : 0);
    if (shares.mustWait(service)) shares.wait(service, { entry, bytes: read.bytes });
    else this.#accept(entry, read);
  }

  #accept(entry: Entry, { apply }: ParsedEntry): void {
    this.#rejected.delete(entry.key);
    this.#accepted.set(entry.key, entry);
    apply(this.#serving);
  }

  /** Gives the room of an entry back. */
  #forget(subject: EntrySubject, key: string, bytes: number): void {
    this.#count(subject, -bytes, -1);
    this.#sharesOf(subject).change(subject.service, key);
  }

  #count(subject: EntrySubject, bytes: number, entries: number): void {
    const instances = subject.kind === 'instance' ? entries : 0;
    this.#sharesOf(subject).ask(subject.service, { bytes, entries, instances });
  }

  /** Ends the effect of an accepted entry. */
  #remove(subject: EntrySubject, key: string): void {
    this.#accepted.delete(key);
    switch (subject.kind) {
      case 'instance':
        this.#serving.instance(subject.service, subject.id, undefined);
        break;
      case 'policy':
        this.#serving.policy(subject.service, undefined, undefined);
        break;
      case 'override':
        this.#serving.override(subject, undefined, 'removed');
        break;
      case 'claim':
        this.#serving.claim(subject.service, undefined);
        break;
    }
  }

  /** Tries the entries again that were rejected because there were too many services, or challenges. */
  #takeLate(): void {
    if (this.#late.size === 0 || !(this.#shares.otherServices || this.#challenges.changed)) return;
    for (const entry of this.#late.values()) {
      const subject = entrySubject(entry.key);
      const token = tokenOfChallenge(entry.key);
      const fits =
        subject === undefined
          ? token !== undefined && this.#challenges.hasRoomFor(token)
          : this.#shares.asks(subject.service) || this.#shares.services < this.#limits.services;
      if (fits) this.put(entry);
    }
  }

  #sharesOf({ kind }: EntrySubject): Allocating {
    return isOfOperators(kind) ? this.#overrideShares : this.#shares;
  }

  /** The bytes that a key counts for that is accepted or waits. */
  #bytesOf(subject: EntrySubject, key: string): number | undefined {
    const waits = this.#sharesOf(subject).waiting(subject.service, key);
    if (waits !== undefined) return waits.bytes;
    const entry = this.#accepted.get(key);
    return entry && this.#acceptedBytes(subject, entry);
  }

  #acceptedBytes(subject: EntrySubject, entry: Entry): number {
    const instance = subject.kind === 'instance' ? this.#registered(subject) : undefined;
    if (instance !== undefined) return instanceBytes(instance);
    const read = parseEntry(subject, entry);
    return read.ok ? read.value.bytes : 0;
  }

  #registered({ service, id }: Extract<EntrySubject, { kind: 'instance' }>): Instance | undefined {
    return this.#serving.get(service)?.registered.get(id);
  }

  #effects(
    area: 'instances' | 'overrides',
    reason: (service: string, beyond: 'bytes' | 'entries' | 'instances', limits: CatalogLimits) => string,
  ): Effects {
    return {
      candidates: (services) => this.#candidates(area, services),
      rankOf: (key, waiting) => {
        const entry = waiting?.entry ?? this.#accepted.get(key);
        return entry && this.#rank(entry, waiting?.bytes);
      },
      take: (entry) => {
        const subject = entrySubject(entry.key);
        const read = subject && this.#read(subject, entry);
        if (read?.ok === true) this.#accept(entry, read.value);
      },
      drop: (key) => this.#drop(key),
      refuse: (entry, because) => this.#reject(entry, because),
      reason: (service, beyond) => reason(service, beyond, this.#limits),
    };
  }

  /** All accepted entries of these services. */
  #candidates(area: 'instances' | 'overrides', services: ReadonlySet<string>): ReadonlyMap<string, readonly Ranked[]> {
    const found = new Map<string, Ranked[]>([...services].map((service) => [service, []]));
    for (const entry of this.#accepted.values()) {
      if (['overrides', 'claims'].includes(areaOfKey(entry.key)) !== (area === 'overrides')) continue;
      const all = found.get(serviceOfKey(entry.key) ?? '');
      const one = all && this.#rank(entry, undefined);
      if (one !== undefined) all?.push(one);
    }
    return found;
  }

  #rank(entry: Entry, waitingBytes: number | undefined): Ranked | undefined {
    const subject = entrySubject(entry.key);
    if (subject === undefined) return undefined;
    const whole = subject.kind !== 'instance' && (subject.kind !== 'override' || subject.scope === '*');
    const bytes = waitingBytes ?? this.#acceptedBytes(subject, entry);
    return { key: entry.key, whole, since: Number(sinceOf(entry)), bytes };
  }

  /** Takes an accepted entry back. That is no loss of an instance: its registration is still there. */
  #drop(key: string): WaitingEntry | undefined {
    const subject = entrySubject(key);
    const entry = this.#accepted.get(key);
    if (subject === undefined || entry === undefined) return undefined;
    const bytes = this.#acceptedBytes(subject, entry);
    this.#remove(subject, key);
    return { entry, bytes };
  }

  #read(subject: EntrySubject, entry: Entry): Parsed<ParsedEntry> {
    const tooLong = beyondValue(Buffer.byteLength(entry.value), this.#limits);
    return tooLong === undefined ? parseEntry(subject, entry) : rejected(tooLong);
  }
}

/** Pointsman's own backend is dirty as a service is that changed as a whole. */
const withAcme = (dirty: DirtySet): DirtySet =>
  new Map([...dirty, [acmeService, { whole: true, instances: new Set() }]]);
