import type { Logger } from 'pino';
import type { Registry as MetricsRegistry } from 'prom-client';
import type { Registry } from '../registry/registry.ts';
import type { BalanceHealth } from './health.ts';
import type { Planner } from './preview/planner.ts';
import type { BalanceQueries } from './queries/queries.ts';
import type { Ending } from './reconcile/ending.ts';
import type { ServiceManager } from './service-manager.ts';

export type BalanceParts = {
  readonly registry: Registry;
  /** The registry of the acknowledgements; undefined where the balancer writes none. */
  readonly fleet: Registry | undefined;
  /** The registry where operators release services, if it is not `registry`. */
  readonly releases: Registry | undefined;
  /** The prefix of the keys of pointsman's own layout in etcd. */
  readonly root: string | undefined;
  readonly metrics: MetricsRegistry;
  readonly logger: Logger;
  /** The folder with the templates that ship with pointsman. */
  readonly shippedTemplates: string;
  /** The folder with the other files for HAProxy that ship with pointsman. */
  readonly shippedForHaproxy: string;
  /** The program that started this process, which learns when the balancer serves and when it ends. */
  readonly manager: ServiceManager;
  /** Aborted when the balancer is to end after the time in which it is leaving (`--lame-duck`), or at once. */
  readonly leaving: AbortSignal;
  /** Aborted when the balancer is to end. */
  readonly signal: AbortSignal;
  /** Aborts `signal`. */
  readonly end: () => void;
  /** How HAProxy ends then. */
  readonly ending: () => Ending;
  /** Aborted when the end is to take no longer. */
  readonly hurry: AbortSignal;
  readonly now: () => number;
  readonly wall: () => Date;
  readonly hostname: string;
  /** The environment for the templates and the commands of own files. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opens a registry whose root is that of all keys. */
  readonly openForeign: () => Promise<Registry>;
  readonly version: string;
  /** Serves health and metrics from the beginning; the answer ends it. */
  readonly serveAdmin: (
    health: () => BalanceHealth,
    queries: BalanceQueries,
    planner: Planner,
  ) => Promise<() => Promise<void>>;
};
