import type { FileStatus } from '../files/file-state.ts';
import type { MakeMetric } from '../metrics/make-metric.ts';
import type { HeldStatus } from '../registry/holding/holder.ts';
import { type Conflict, listConflicts } from '../render/conflict.ts';
import type { AcknowledgingStatus } from './acknowledge/acknowledging.ts';
import type { EjectedStatus } from './ejection/ejecting.ts';
import type { FleetLimitsStatus } from './fleet-limits/fleet-limits.ts';
import type { GuardedStatus } from './guard/guarding.ts';
import type { LeavingStatus } from './lame-duck.ts';
import { blocking } from './observe/troubles.ts';
import type { OverrideStatus } from './overrides/overriding.ts';
import type { BalancerStatus } from './reconcile/balancer.ts';
import type { StorageStatus } from './state/storage.ts';
import type { CertificateStatus } from './tls/certificates.ts';

export const healthMetrics = ({ gauge }: MakeMetric) => ({
  ready: gauge(
    'ready',
    '1 while /readyz answers 200: HAProxy serves, changes are applied, and the balancer is not about to stop.',
  ),
  leaving: gauge(
    'leaving',
    '1 while the balancer serves for the time of --lame-duck before it stops, and is not ready.',
  ),
  instances: gauge('instances', 'Instances that are served, by service.', ['service']),
});

/** The answer of `/readyz` and `/status`. */
export type BalanceHealth = Pick<
  BalancerStatus,
  'serving' | 'troubles' | 'refused' | 'drift' | 'quarantined' | 'rejected'
> & {
  readonly id: string;
  /**
   * HAProxy serves a complete view of the registry (perhaps the last known one), no trouble has kept the balancer from
   * applying changes for longer than a moment, and the balancer is not leaving.
   */
  readonly ready: boolean;
  /** Undefined unless the balancer is about to stop (`--lame-duck`). */
  readonly leaving: LeavingStatus | undefined;
  readonly registry: {
    readonly connected: boolean;
    readonly reason: string | undefined;
    /** Time since the balancer last followed the registry, in ms; 0 while it follows. */
    readonly staleMs: number;
    /** When the catalog from disk was saved, by the wall clock; undefined once the registry has answered. */
    readonly lastKnown: string | undefined;
    /** The address of the registry, without credentials. */
    readonly location: string;
    /** The prefix of all keys; undefined for a folder, and for a tree in another layout. */
    readonly root: string | undefined;
    /** The id of the registry; undefined before the registry has answered. */
    readonly cluster: string | undefined;
  };
  /** Undefined before HAProxy serves. */
  readonly haproxyVersion: string | undefined;
  readonly revisionSeen: string;
  readonly revisionApplied: string;
  readonly services: Readonly<Record<string, number>>;
  /** Whether others can see what this balancer serves. */
  readonly acknowledging: AcknowledgingStatus | undefined;
  /** Undefined while no service has a rate limit of the fleet. */
  readonly fleetLimits: FleetLimitsStatus | undefined;
  readonly pendingReload: readonly string[];
  /** The files that the disk does not accept. */
  readonly storage: StorageStatus;
  /** Services that lost many instances at once. The guard keeps the instances. */
  readonly guarded: readonly GuardedStatus[];
  /** Instances that get no requests, or few, because they answered with errors. */
  readonly ejected: readonly EjectedStatus[];
  /** Entries that the registry does not have any more and that still count. */
  readonly held: readonly HeldStatus[];
  readonly overrides: readonly OverrideStatus[];
  readonly certificates: readonly CertificateStatus[];
  readonly files: readonly FileStatus[];
  /** The first conflicts of each service. */
  readonly conflicts: readonly Conflict[];
  /** The number of further conflicts of a service. */
  readonly moreConflicts: Readonly<Record<string, number>>;
};

type HealthSources = Pick<
  BalanceHealth,
  | 'id'
  | 'leaving'
  | 'haproxyVersion'
  | 'acknowledging'
  | 'fleetLimits'
  | 'storage'
  | 'guarded'
  | 'ejected'
  | 'held'
  | 'overrides'
  | 'certificates'
  | 'files'
> & {
  readonly balancer: BalancerStatus;
  readonly registry: Omit<BalanceHealth['registry'], 'cluster'>;
};

export function healthOf({ balancer, registry, ...statuses }: HealthSources): BalanceHealth {
  const { catalog, serving, troubles, refused, drift, quarantined, rejected } = balancer;
  const conflicts = listConflicts(balancer.conflicts);
  return {
    ...statuses,
    ready: serving && statuses.leaving === undefined && blocking(troubles).length === 0,
    ...{ serving, troubles, refused, drift, quarantined, rejected },
    registry: { ...registry, cluster: catalog.cluster || undefined },
    revisionSeen: String(balancer.revisionSeen),
    revisionApplied: String(balancer.revisionApplied),
    services: Object.fromEntries([...catalog.services.values()].map(({ name, instances }) => [name, instances.size])),
    pendingReload: balancer.pending,
    conflicts: conflicts.listed,
    moreConflicts: conflicts.more,
  };
}
