import type { Catalog } from '../../catalog/catalog.ts';
import type { Unserved } from '../../catalog/unserved.ts';
import type { PendingServers } from '../../haproxy/plan.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Revision } from '../../model/revision.ts';
import type { Conflict } from '../../render/conflict.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TroubleStatus } from '../observe/troubles.ts';
import type { QuarantineStatus } from '../quarantine/quarantine-status.ts';
import type { DriftStatus } from './drift-log.ts';
import type { Rejections } from './rejections.ts';

/** The state of a balancer, for its health and its queries. */
export type BalancerStatus = {
  readonly revisionSeen: Revision;
  readonly revisionApplied: Revision;
  /** Whether HAProxy serves, perhaps an older state. */
  readonly serving: boolean;
  /** The parts of the balancer that fail now. */
  readonly troubles: readonly TroubleStatus[];
  readonly catalog: Catalog;
  /** The first thousand unserved entries. */
  readonly rejected: readonly Unserved[];
  readonly rejections: Pick<Rejections, 'of'>;
  readonly conflicts: readonly Conflict[];
  readonly served: Rendered;
  readonly desired: Rendered;
  /** Servers that left and that HAProxy still has, by `service/instance`. */
  readonly lingering: PendingServers;
  /** Why a reload waits, one clause each; empty when all is applied. */
  readonly pending: readonly string[];
  /** Services without reload budget, each with the reason. */
  readonly paced: ReadonlyMap<ServiceName, string>;
  /** Why HAProxy refused the newest base configuration or template; an older one is in use. */
  readonly refused: string | undefined;
  /** The services, instances and templates that HAProxy refuses. */
  readonly quarantined: readonly QuarantineStatus[];
  /** Undefined when there was no drift lately. */
  readonly drift: DriftStatus | undefined;
};
