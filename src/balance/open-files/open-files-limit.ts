import type { Catalog, Unserved } from '../../catalog/catalog.ts';
import { readShortage, type WorkerLimits } from '../../haproxy/open-files.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import { DirtySetBuilder } from '../../model/dirty-set.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import {
  type FileBudget,
  filesOf,
  firstBudget,
  type LeftOut,
  leftOutOf,
  mostOf,
  withConfig,
  withShortage,
  withWorker,
} from './file-budget.ts';

export const openFilesMetrics = ({ gauge }: MakeMetric) => ({
  openFilesLimit: gauge('haproxy_open_files_limit', 'Hard limit of open files of HAProxy.'),
  mostConnections: gauge('haproxy_max_connections', 'Limit of concurrent connections of HAProxy (maxconn).'),
});

export type OpenFilesLimitParts = LogAndClock & {
  readonly metrics: ReturnType<typeof openFilesMetrics>;
};

/** From this part of the files for instances on, the trouble `open-files` begins. */
const nearShare = 0.8;
/** If the limit leaves fewer connections than this, the trouble `open-files` begins. */
const fewConnections = 1000;

/** A catalog without the instances that are not served, and those. */
type Previewed = { readonly catalog: Catalog; readonly unserved: readonly Unserved[] };

const noneLeftOut: LeftOut = new Map();
const hint =
  'raise the hard limit of open files (LimitNOFILE= of the unit, ulimits of the container, ulimit -n of the shell) and restart pointsman with HAProxy';

/**
 * A part of the stage `located` of the effective catalog: leaves out the newest instances of the largest services if HAProxy could
 * not have enough files open for all health checks. Otherwise HAProxy would refuse every reload, and would not start again.
 */
export class OpenFilesLimit {
  readonly #parts: OpenFilesLimitParts;
  readonly #log: LimitedLog;
  #budget: FileBudget = firstBudget;
  /** The files that the services need in the configuration that HAProxy loaded last. */
  #loadedNeed: number | undefined;
  #answered: { readonly of: Catalog; readonly budget: FileBudget; readonly catalog: Catalog } | undefined;
  #need = 0;
  #leftOut = noneLeftOut;
  readonly #moved = new DirtySetBuilder();

  constructor(parts: OpenFilesLimitParts) {
    this.#parts = parts;
    this.#log = new LimitedLog(parts.logger, parts.now, 'left-out-untold');
  }

  /** Takes the hard limit from the process that runs HAProxy; undefined: it does not know the limit. */
  may(limit: number | undefined): void {
    if (limit !== undefined) this.#become({ ...this.#budget, limit, isGiven: true });
  }

  baseChanged(text: string): void {
    this.#become(withConfig(this.#budget, text));
  }

  /** Takes the catalog that HAProxy loaded; undefined: it loaded something else. */
  loaded(catalog: Catalog | undefined): void {
    this.#loadedNeed = catalog && needOf(catalog);
  }

  met(worker: WorkerLimits | undefined): void {
    const loadedNeed = this.#loadedNeed;
    this.#loadedNeed = undefined;
    if (worker === undefined) return;
    const { connections, files } = worker;
    const before = this.#budget.worker;
    this.#become(withWorker(this.#budget, worker, loadedNeed));
    this.#parts.metrics.mostConnections.set(connections);
    if (before?.connections === connections && before.files === files) return;
    const about = { event: 'haproxy-limits', connections, files, limit: this.#budget.limit };
    this.#parts.logger.info(about, `HAProxy accepts ${connections} connections at once`);
  }

  /** Takes the reason for which HAProxy did not load this catalog. Returns whether it helps to leave out instances. */
  failed(reason: string, catalog: Catalog): boolean {
    const shortage = readShortage(reason);
    if (shortage === undefined || this.#budget.configured.files !== undefined) return false;
    const before = mostOf(this.#budget);
    const need = needOf(catalog);
    this.#become(withShortage(this.#budget, shortage, need));
    const most = mostOf(this.#budget);
    return most < before && most > 0 && need > most;
  }

  /** `bound`: the catalog has at most so many instances. */
  limited(catalog: Catalog, bound: number): Catalog {
    const budget = this.#budget;
    if (this.#answered?.of === catalog && this.#answered.budget === budget) return this.#answered.catalog;
    const most = mostOf(budget);
    // With room for all instances that there may be, nothing has to be counted.
    this.#need = bound < most * nearShare ? 0 : needOf(catalog);
    // If HAProxy has too few files for itself, it does not help to leave out instances.
    const leftOut = this.#need > most && most > 0 ? leftOutOf(catalog, most, this.#leftOut) : noneLeftOut;
    this.#move(leftOut);
    const services = catalog.services.withMutations((all) => {
      for (const [name, part] of leftOut) all.set(name, part.remaining);
    });
    const remaining = leftOut.size === 0 ? catalog : { ...catalog, services };
    this.#answered = { of: catalog, budget, catalog: remaining };
    return remaining;
  }

  /** The same for a catalog that the balancer does not have: `differing` are the services that differ. Changes nothing. */
  preview(catalog: Catalog, differing: Iterable<ServiceName>): Previewed {
    const most = mostOf(this.#budget);
    if (most <= 0 || needOf(catalog) <= most) return { catalog, unserved: [] };
    const leftOut = leftOutOf(catalog, most, this.#leftOut);
    const services = catalog.services.withMutations((all) => {
      for (const [name, part] of leftOut) all.set(name, part.remaining);
    });
    const reason = this.#reason();
    const unserved = [...differing].flatMap((name) =>
      [...(leftOut.get(name)?.ids ?? [])].map((id) => ({ key: instanceKey(name, id), reason, lastGoodServes: false })),
    );
    return { catalog: { ...catalog, services }, unserved };
  }

  /** The instances to render, because they are left out since the last `take`, or not any more. */
  get moved(): DirtySetBuilder {
    return this.#moved;
  }

  *unserved(): Generator<Unserved> {
    const reason = this.#reason();
    for (const [service, { ids }] of this.#leftOut) {
      for (const id of ids) yield { key: instanceKey(service, id), reason, lastGoodServes: false };
    }
  }

  get count(): number {
    let count = 0;
    for (const { ids } of this.#leftOut.values()) count += ids.size;
    return count;
  }

  of(service: ServiceName, id: InstanceId): Unserved | undefined {
    if (this.#leftOut.get(service)?.ids.has(id) !== true) return undefined;
    return { key: instanceKey(service, id), reason: this.#reason(), lastGoodServes: false };
  }

  /** Why instances are left out, or will be soon; undefined: the limit is large enough. */
  get trouble(): string | undefined {
    const { limit, worker, configured } = this.#budget;
    if (limit === undefined) return undefined;
    const most = mostOf(this.#budget);
    const { count } = this;
    const may = `HAProxy can open ${limit} files`;
    if (count > 0) {
      const names = [...this.#leftOut.keys()];
      const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
      const of = `the newest instances of ${names.slice(0, 3).join(', ')}${more}`;
      return `${may}, which is enough to check ${most} instances: ${count} are not served, ${of}; ${hint}`;
    }
    if (this.#need > most * nearShare && most > 0) {
      return `${may}, and the instances need ${this.#need} of the ${most} available to them; if they need more, the newest instances of the largest services are not served; ${hint}`;
    }
    const connections = worker?.connections;
    if (connections === undefined || connections >= fewConnections || configured.maxconn !== undefined) {
      return undefined;
    }
    return `${may}, so it accepts only ${connections} connections at once (maxconn); ${hint}`;
  }

  close(): void {
    this.#log.close();
  }

  #reason(): string {
    return `HAProxy can open ${this.#budget.limit} files, too few to check all instances: the newest instances of the largest services are not served`;
  }

  #become(budget: FileBudget): void {
    const { limit } = budget;
    if (limit !== undefined && limit !== this.#budget.limit) this.#parts.metrics.openFilesLimit.set(limit);
    this.#budget = budget;
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
