import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Unserved } from '../../catalog/unserved.ts';
import {
  type ConfiguredLimits,
  readConfiguredLimits,
  readShortage,
  type WorkerLimits,
} from '../../haproxy/open-files.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import { DirtySetBuilder } from '../../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import { filesOf, type LeftOut, leastConnections, leftOutOf, mostForServices } from './check-shares.ts';

export type OpenFilesLimitParts = {
  readonly metrics: Pick<BalanceMetrics, 'openFilesLimit' | 'mostConnections'>;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

// Seen: 34 with 2.6, 45 with 3.0 and 23 with 3.4, and 3 for each thread. Others are learned from the worker.
const ownAtFirst = 48 + 3 * availableParallelism();
/** From this part of the files for instances on, the trouble `open-files` begins. */
const nearShare = 0.8;
/** If the limit leaves fewer connections than this, the trouble `open-files` begins. */
const fewConnections = 1000;

const noneLeftOut: LeftOut = new Map();
const hint =
  'raise the hard limit of open files (LimitNOFILE= of the unit, ulimits of the container, ulimit -n of the shell) and restart pointsman with HAProxy';

/**
 * Between the addresses and the templates: leaves out the newest instances of the largest services where HAProxy could not have
 * enough files open for all health checks. Without it, HAProxy refuses every reload, and does not start again.
 */
export class OpenFilesLimit {
  readonly #parts: OpenFilesLimitParts;
  readonly #log: LimitedLog;
  /** Undefined while it is not known; nothing is left out then. */
  #limit: number | undefined;
  /** Told by whoever runs HAProxy, so that a worker's own numbers do not count. */
  #told = false;
  #own = ownAtFirst;
  /** From reloads and starts that failed with this frame. */
  #leastOwn = 0;
  #configured: ConfiguredLimits = { maxconn: undefined, files: undefined };
  #worker: WorkerLimits | undefined;
  /** What the services needed in the configuration that the worker to come was loaded from. */
  #loadedNeed: number | undefined;
  #answered: { readonly of: Catalog; readonly catalog: Catalog } | undefined;
  #need = 0;
  #leftOut = noneLeftOut;
  readonly #moved = new DirtySetBuilder();

  constructor(parts: OpenFilesLimitParts) {
    this.#parts = parts;
    this.#log = new LimitedLog(parts.logger, parts.now, 'left-out-untold');
  }

  /** How many files HAProxy may have open at most, as far as whoever runs it can tell. */
  may(limit: number | undefined): void {
    if (limit === undefined) return;
    this.#told = true;
    this.#become({ limit });
  }

  /** HAProxy is given a configuration with this text around its backends. */
  framed(text: string): void {
    const configured = readConfiguredLimits(text);
    const { maxconn, files } = this.#configured;
    if (configured.maxconn === maxconn && configured.files === files) return;
    this.#configured = configured;
    this.#leastOwn = 0;
    this.#answered = undefined;
  }

  /** HAProxy has loaded what was made of this catalog; undefined: something else. */
  loaded(catalog: Catalog | undefined): void {
    this.#loadedNeed = catalog && needOf(catalog);
  }

  /** A worker that was not spoken with before says what it has. */
  met(worker: WorkerLimits | undefined): void {
    const loadedNeed = this.#loadedNeed;
    this.#loadedNeed = undefined;
    if (worker === undefined) return;
    const { connections, files } = worker;
    const isNew = this.#worker?.connections !== connections || this.#worker.files !== files;
    this.#worker = worker;
    const own = loadedNeed === undefined ? this.#own : files - 2 * connections - loadedNeed;
    // HAProxy takes all that it may have, unless it is told how many connections to accept.
    const learned = this.#told || this.#configured.maxconn !== undefined ? this.#limit : files;
    this.#become({ own: Math.max(own, this.#leastOwn, 0), limit: learned });
    this.#parts.metrics.mostConnections.set(connections);
    if (!isNew) return;
    const about = { event: 'haproxy-limits', connections, files, limit: this.#limit };
    this.#parts.logger.info(about, `HAProxy accepts ${connections} connections at once`);
  }

  /** HAProxy did not load what was made of this catalog. Whether that was for too few files, and leaving out others helps. */
  failed(reason: string, catalog: Catalog): boolean {
    const shortage = readShortage(reason);
    if (shortage === undefined || this.#configured.files !== undefined) return false;
    const before = this.#most();
    const need = needOf(catalog);
    this.#leastOwn = shortage.needed - 2 * (this.#configured.maxconn ?? leastConnections) - need;
    const limit = Math.min(shortage.limit, this.#limit ?? shortage.limit);
    this.#become({ own: Math.max(this.#own, this.#leastOwn), limit });
    const most = this.#most();
    return most < before && most > 0 && need > most;
  }

  /** The catalog without those that HAProxy could not check. */
  served(catalog: Catalog, bound: number): Catalog {
    if (this.#answered?.of === catalog) return this.#answered.catalog;
    const most = this.#most();
    // Where there is room for all there may be, nobody is counted.
    this.#need = bound < most * nearShare ? 0 : needOf(catalog);
    // Where not even HAProxy itself has enough, it helps nobody to leave out others.
    const leftOut = this.#need > most && most > 0 ? leftOutOf(catalog, most, this.#leftOut) : noneLeftOut;
    this.#move(leftOut);
    const services = catalog.services.withMutations((all) => {
      for (const [name, part] of leftOut) all.set(name, part.remaining);
    });
    const remaining = leftOut.size === 0 ? catalog : { ...catalog, services };
    this.#answered = { of: catalog, catalog: remaining };
    return remaining;
  }

  /** Those that are left out since, or not any more: they have to be rendered. Once. */
  get moved(): DirtySetBuilder {
    return this.#moved;
  }

  *unserved(): Generator<Unserved> {
    const reason = this.#reason();
    for (const [service, { ids }] of this.#leftOut) {
      for (const id of ids) yield { key: `instances/${service}/${id}`, reason, lastGoodServes: false };
    }
  }

  get count(): number {
    let count = 0;
    for (const { ids } of this.#leftOut.values()) count += ids.size;
    return count;
  }

  of(service: ServiceName, id: InstanceId): Unserved | undefined {
    if (this.#leftOut.get(service)?.ids.has(id) !== true) return undefined;
    return { key: `instances/${service}/${id}`, reason: this.#reason(), lastGoodServes: false };
  }

  /** What the limit does to what is served, or is near to do; undefined where it is large enough. */
  get trouble(): string | undefined {
    const limit = this.#limit;
    if (limit === undefined) return undefined;
    const most = this.#most();
    const { count } = this;
    const may = `HAProxy may have ${limit} files open`;
    if (count > 0) {
      const names = [...this.#leftOut.keys()];
      const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
      const of = `the newest instances of ${names.slice(0, 3).join(', ')}${more}`;
      return `${may}, which is enough to check ${most} instances: ${count} are not served, ${of}; ${hint}`;
    }
    if (this.#need > most * nearShare && most > 0) {
      return `${may}, and the instances need ${this.#need} of the ${most} that there are for them: beyond these, the newest instances of the largest services are not served; ${hint}`;
    }
    const connections = this.#worker?.connections;
    if (connections === undefined || connections >= fewConnections || this.#configured.maxconn !== undefined) {
      return undefined;
    }
    return `${may}, so it accepts only ${connections} connections at once (maxconn); ${hint}`;
  }

  close(): void {
    this.#log.close();
  }

  #most(): number {
    const limit = Math.min(this.#limit ?? Number.POSITIVE_INFINITY, this.#configured.files ?? Number.POSITIVE_INFINITY);
    if (limit === Number.POSITIVE_INFINITY) return limit;
    return mostForServices({ limit, own: this.#own, maxconn: this.#configured.maxconn });
  }

  #reason(): string {
    return `HAProxy may have ${this.#limit} files open, too few to check all instances: the newest instances of the largest services are not served`;
  }

  #become({ own = this.#own, limit }: { readonly own?: number; readonly limit: number | undefined }): void {
    if (own === this.#own && limit === this.#limit) return;
    this.#own = own;
    this.#limit = limit;
    this.#answered = undefined;
    if (limit !== undefined) this.#parts.metrics.openFilesLimit.set(limit);
  }

  #move(leftOut: LeftOut): void {
    const before = this.#leftOut;
    this.#leftOut = leftOut;
    for (const service of new Set([...before.keys(), ...leftOut.keys()])) {
      const [was, is] = [before.get(service)?.ids, leftOut.get(service)?.ids];
      if (was === is) continue;
      for (const id of is ?? []) if (was?.has(id) !== true) this.#moved.instance(service, id);
      for (const id of was ?? []) if (is?.has(id) !== true) this.#moved.instance(service, id);
      if (was === undefined) {
        const about = { event: 'instances-left-out', service, count: is?.size, reason: this.#reason() };
        this.#log.warn(about, 'instances not served');
      } else if (is === undefined) {
        this.#log.info({ event: 'instances-taken-in', service }, 'all instances are served again');
      }
    }
  }
}

function needOf({ services }: Catalog): number {
  let need = 0;
  for (const service of services.values()) need += filesOf(service);
  return need;
}
