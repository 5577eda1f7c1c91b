import { Map as PersistentMap, Set as PersistentSet } from 'immutable';
import type { Challenge } from '../model/acme/challenge.ts';
import type { DirtySet } from '../model/dirty-set.ts';
import type { Instance } from '../model/instance.ts';
import { areaOfKey, serviceOfKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import { noRevision, type Revision } from '../model/revision.ts';
import type { Entry } from '../registry/registry.ts';
import { type Allocation, noAllocation, reasonToWait } from './allocation.ts';
import type { Claims } from './claims.ts';
import { noOverrides, type Overrides, type OverrideTransition } from './overrides.ts';
import type { Service } from './service.ts';

/** An entry that was not accepted. The last good value of the key, if there is one, is still served. */
export type Rejection = {
  readonly key: string;
  readonly reason: string;
  readonly revision: Revision;
  readonly lastGoodServes: boolean;
};

/** All that the registry asks for, parsed. A value: folding an event gives a new one. */
export type Catalog = {
  readonly revision: Revision;
  readonly cluster: string | undefined;
  readonly services: PersistentMap<ServiceName, Service>;
  readonly overrides: Overrides;
  readonly claims: Claims;
  /** By token, the answers to an ACME authority. */
  readonly challenges: PersistentMap<string, Challenge>;
  /** The names in the certificates that HAProxy serves. They are no part of the registry: the balancer sets them. */
  readonly certified: PersistentSet<string>;
  /** The raw entry behind everything in `services`, `overrides`, `claims` and `challenges`; what is kept on disk. */
  readonly accepted: PersistentMap<string, Entry>;
  readonly rejected: PersistentMap<string, Rejection>;
  /** How many of them each service has. */
  readonly rejections: PersistentMap<string, number>;
  /** The services with more rejections, since the last snapshot, than are remembered. */
  readonly forgotten: PersistentSet<string>;
  /** The room that the instances and policies of each service ask for and get. */
  readonly shares: Allocation;
  /** The same of the overrides, which have room of their own. */
  readonly overrideShares: Allocation;
  /** The services with a policy that was not accepted, and no last good one: they answer 503. */
  readonly withheld: PersistentSet<ServiceName>;
  /** Entries of services, and challenges, that came when there were as many as there may be, until there are fewer. */
  readonly late: PersistentMap<string, Entry>;
};

export const emptyCatalog: Catalog = {
  revision: noRevision,
  cluster: undefined,
  services: PersistentMap(),
  overrides: noOverrides,
  claims: PersistentMap(),
  challenges: PersistentMap(),
  certified: PersistentSet(),
  accepted: PersistentMap(),
  rejected: PersistentMap(),
  rejections: PersistentMap(),
  forgotten: PersistentSet(),
  shares: noAllocation,
  overrideShares: noAllocation,
  withheld: PersistentSet(),
  late: PersistentMap(),
};

/** An instance whose key was deleted, as it was just before. */
export type Removal = { readonly instance: Instance; readonly leased: boolean };

export type Folded = {
  readonly catalog: Catalog;
  readonly dirty: DirtySet;
  /** Instances and policies that really differ now: what the changes-applied metric counts. */
  readonly changes: number;
  readonly rejections: readonly Rejection[];
  /** The instances that left, with their last state: a fold of many changes may have both the draining and the delete. */
  readonly removals: readonly Removal[];
  readonly overrides: readonly OverrideTransition[];
};

/** A fold of nothing. */
export function unchanged(catalog: Catalog): Folded {
  return { catalog, dirty: new Map(), changes: 0, rejections: [], removals: [], overrides: [] };
}

/** Why this key is not served as written; undefined: no reason is known. */
export function rejectionOf(catalog: Catalog, key: string): Omit<Rejection, 'revision'> | undefined {
  const known = catalog.rejected.get(key);
  if (known !== undefined) return known;
  // More entries may wait than rejections are remembered.
  const shares = areaOfKey(key) === 'overrides' ? catalog.overrideShares : catalog.shares;
  const reason = reasonToWait(shares, serviceOfKey(key) ?? '', key);
  return reason === undefined ? undefined : { key, reason, lastGoodServes: false };
}

/** The catalog as if it had no limits, for a fold that only looks at something: what waits goes on waiting. */
export const unlimited = (catalog: Catalog): Catalog => ({
  ...catalog,
  shares: noAllocation,
  overrideShares: noAllocation,
  late: emptyCatalog.late,
});

/** An entry of the registry that is not served as written. */
export type Unserved = {
  readonly key: string;
  readonly reason: string;
  /** HAProxy still serves the value that the key had before. */
  readonly lastGoodServes: boolean;
};
