import type { Unserved } from '../catalog/unserved.ts';
import type { FileStatus } from '../files/file-state.ts';
import type { HeldStatus } from '../registry/holding/holder.ts';
import type { Conflict } from '../render/conflict.ts';
import type { AcknowledgingStatus } from './acknowledge/acknowledging.ts';
import type { GuardedStatus } from './guard/guarding.ts';
import type { DriftStatus } from './observe/drift-log.ts';
import type { TroubleStatus } from './observe/troubles.ts';
import type { OverrideStatus } from './overrides/overriding.ts';
import type { QuarantineStatus } from './quarantine/quarantine-status.ts';
import type { StorageStatus } from './state/storage.ts';
import type { CertificateStatus } from './tls/certificates.ts';

/** What `/readyz` and `/status` tell. */
export type BalanceHealth = {
  readonly id: string;
  /**
   * HAProxy serves a complete view of the registry (perhaps the last known one), and nothing has kept changes from being
   * applied for longer than a moment.
   */
  readonly ready: boolean;
  /** Whether HAProxy serves, be it an older state. */
  readonly serving: boolean;
  /** What fails now, a part of the balancer each. */
  readonly troubles: readonly TroubleStatus[];
  readonly registry: {
    readonly connected: boolean;
    readonly reason: string | undefined;
    /** How long ago the registry was followed last, in ms; 0 while it is. */
    readonly staleMs: number;
    /** When what is served was saved, by the wall clock; undefined once the registry has answered. */
    readonly lastKnown: string | undefined;
    /** Where it is, without credentials. */
    readonly location: string;
    /** The key that all stands under; undefined for a folder, and for a tree in another's layout. */
    readonly root: string | undefined;
    /** Tells one registry from another; undefined before anything is known of it. */
    readonly cluster: string | undefined;
  };
  /** Of the one that serves; undefined before it does. */
  readonly haproxyVersion: string | undefined;
  readonly revisionSeen: string;
  readonly revisionApplied: string;
  readonly services: Readonly<Record<string, number>>;
  /** Whether others can hear what this balancer serves. */
  readonly acknowledging: AcknowledgingStatus | undefined;
  readonly pendingReload: readonly string[];
  readonly refused: string | undefined;
  /** What HAProxy ran lately that it was not given, and was healed; undefined when there was nothing. */
  readonly drift: DriftStatus | undefined;
  /** What is not on disk as it should be. Empty when all is. */
  readonly storage: StorageStatus;
  /** What HAProxy refuses alone, so that everything else is served as asked. */
  readonly quarantined: readonly QuarantineStatus[];
  /** Services that lost many instances at once and are served as before. */
  readonly guarded: readonly GuardedStatus[];
  /** What the registry does not have any more and is served all the same. */
  readonly held: readonly HeldStatus[];
  /** What operators took out of service, or gave another weight. */
  readonly overrides: readonly OverrideStatus[];
  /** Served for HTTPS. */
  readonly certificates: readonly CertificateStatus[];
  /** The files of `templates`. */
  readonly files: readonly FileStatus[];
  /** The first thousand entries that are not served as they stand in the registry. */
  readonly rejected: readonly Unserved[];
  /** The first of each service. */
  readonly conflicts: readonly Conflict[];
  /** How many more a service has. */
  readonly moreConflicts: Readonly<Record<string, number>>;
};
