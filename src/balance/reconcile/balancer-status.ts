import type { Catalog } from '../../catalog/catalog.ts';
import type { Unserved } from '../../catalog/unserved.ts';
import type { PendingServers } from '../../haproxy/plan.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Revision } from '../../model/revision.ts';
import type { Conflict } from '../../render/conflict.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { DriftStatus } from '../observe/drift-log.ts';
import type { TroubleStatus } from '../observe/troubles.ts';
import type { QuarantineStatus } from '../quarantine/quarantine-status.ts';
import type { Rejections } from './rejections.ts';

/** How far a balancer is, and what it is about. */
export type BalancerStatus = {
  readonly revisionSeen: Revision;
  readonly revisionApplied: Revision;
  readonly serving: boolean;
  /** What fails now. */
  readonly troubles: readonly TroubleStatus[];
  readonly catalog: Catalog;
  /** Entries that are not served; the first of them. */
  readonly rejected: readonly Unserved[];
  readonly rejections: Pick<Rejections, 'of'>;
  readonly conflicts: readonly Conflict[];
  readonly served: Rendered;
  readonly desired: Rendered;
  /** Left, and still closing connections, by `service/instance`. */
  readonly lingering: PendingServers;
  /** Why a reload waits, one clause each; empty when all is applied. */
  readonly pending: readonly string[];
  /** Why the changes of some services wait for a reload longer than those of others. */
  readonly paced: ReadonlyMap<ServiceName, string>;
  /** The newest frame or template was refused for this reason, and an older one serves. */
  readonly refused: string | undefined;
  /** What HAProxy refuses alone, so that everything else is served as asked. */
  readonly quarantined: readonly QuarantineStatus[];
  /** What HAProxy ran lately that it was not given; undefined when there was nothing. */
  readonly drift: DriftStatus | undefined;
};
