import type { Logger } from 'pino';
import type { CatalogLimits } from '../../catalog/limits.ts';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import type { Templates } from '../../render/render.ts';
import type { Locating } from '../addresses/locating.ts';
import type { Ejecting } from '../ejection/ejecting.ts';
import type { FirstChecks } from '../first-check/first-checks.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { HeldEntries } from '../guard/held-entries.ts';
import type { Troubles } from '../observe/troubles.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { Overriding } from '../overrides/overriding.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { ReloadMetrics } from '../reload/reload-metrics.ts';
import type { ServicePace } from '../reload/reload-pacing.ts';
import type { ServerStates } from '../reload/server-states.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Storage } from '../state/storage.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';

export type BalancerSettings = {
  readonly templates: Templates;
  readonly baseSettings: BaseSettings;
  readonly limits: CatalogLimits;
  readonly reloadIntervalMs: number;
  /** How often the changes of one service may need a reload. */
  readonly servicePace: ServicePace;
  /** The largest number of workers of earlier reloads. pointsman ends the oldest beyond it. */
  readonly mostOldWorkers: number;
  /** The least time between two reloads that `Reuse` makes, in ms; undefined: it makes none. */
  readonly reuseIntervalMs: number | undefined;
  /** The held entries of the registry; undefined where nothing is held. */
  readonly heldEntries?: HeldEntries | undefined;
  readonly logger: Logger;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
};

/** The parts that a balancer is given. Each class of this room names those that it uses. */
export type BalancerParts = BalancerSettings & {
  readonly haproxy: Haproxy;
  readonly link: RuntimeLink;
  readonly files: StateFiles;
  readonly states: ServerStates;
  /** Has an old worker pass on its requests. Rejects with a Fault when the worker cannot be reached. */
  readonly passOn: (pid: number) => Promise<void>;
  readonly firstChecks: FirstChecks;
  readonly quarantining: Quarantining;
  readonly guarding: Guarding;
  readonly ejecting: Ejecting;
  readonly locating: Locating;
  readonly openFiles: OpenFilesLimit;
  readonly overriding: Overriding;
  /** Why HAProxy lets nobody in with this file of users or keys; undefined: it does. */
  readonly secretProblem: (file: string) => string | undefined;
  readonly metrics: { readonly reconcile: ReconcileMetrics; readonly reload: ReloadMetrics };
  readonly storage: Pick<Storage, 'status'>;
  readonly troubles: Troubles;
  /** Has the worker use the newest certificates and TLS files. */
  readonly lookAtFiles: () => void;
};
