import type { Logger } from 'pino';
import { type Catalog, type Folded, rejectionOf, type Unserved } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { instanceKey, policyKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { showKey } from '../../model/parsed.ts';
import type { Revision } from '../../model/revision.ts';
import { type Conflict, describeConflict, lossesIn } from '../../render/conflict.ts';
import { conflictSummaries } from '../../render/conflict-summary.ts';
import type { RenderProblem } from '../../render/render.ts';
import type { RouteTable } from '../../render/routes.ts';
import { unroutedServices } from '../../render/unrouted.ts';
import type { Locating } from '../addresses/locating.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';

// More rejections in one change are only counted, so that a broken writer cannot fill the log.
const mostLines = 20;

type RejectionsParts = {
  readonly metrics: Pick<ReconcileMetrics, 'rejected' | 'rejections' | 'conflicts'>;
  readonly logger: Logger;
  readonly locating: Pick<Locating, 'unserved' | 'absent' | 'of' | 'count'>;
  readonly openFiles: Pick<OpenFilesLimit, 'unserved' | 'of' | 'count'>;
};

/**
 * The unserved entries, each with the reason: no parser accepts it, no template can render it, its address is unknown or not allowed,
 * HAProxy has no open files for it, or another service has its route.
 */
export class Rejections {
  readonly #parts: RejectionsParts;
  /** Entries that no template can render, or without an allowed address, by key. */
  #unrendered = new Map<string, Unserved>();
  #conflicts: readonly Conflict[] = [];
  #unrouted: ReadonlyMap<ServiceName, string> = new Map();
  #conflictsByService: ReadonlyMap<ServiceName, string> = new Map();
  #malformed = 0;

  constructor(parts: RejectionsParts) {
    this.#parts = parts;
  }

  get conflicts(): readonly Conflict[] {
    return this.#conflicts;
  }

  /** The services that no request can reach because of their conflicts, each with the reason. */
  get unrouted(): ReadonlyMap<ServiceName, string> {
    return this.#unrouted;
  }

  /** By service, what it asks for and does not get because of conflicts. */
  get conflictsByService(): ReadonlyMap<ServiceName, string> {
    return this.#conflictsByService;
  }

  /** The well-formed entries that HAProxy does not serve. */
  get unrendered(): readonly Refusal[] {
    const { locating, openFiles } = this.#parts;
    const unrendered = [...this.#unrendered.values()].map(({ key, reason }) => ({ key, reason, final: true }));
    const noFiles = [...openFiles.unserved()].map(({ key, reason }) => ({ key, reason }));
    return [...unrendered, ...locating.absent(), ...noFiles];
  }

  /** The first `most` unserved entries. Entries that no template can render come first: users expect these least. */
  list({ rejected }: Catalog, most: number): readonly Unserved[] {
    const malformed = rejected
      .valueSeq()
      .take(most)
      .map(({ key, reason, lastGoodServes }) => ({ key: shortKey(key), reason, lastGoodServes }));
    const { locating, openFiles } = this.#parts;
    return [...this.#unrendered.values(), ...malformed, ...locating.unserved(), ...openFiles.unserved()].slice(0, most);
  }

  /** Why this key is not served as written; undefined when it is. */
  of(catalog: Catalog, key: string): Unserved | undefined {
    const [area, service = '', id = ''] = key.split('/');
    const named = [service as ServiceName, id as InstanceId] as const;
    const { locating, openFiles } = this.#parts;
    const unlocated = area === 'instances' ? (locating.of(...named) ?? openFiles.of(...named)) : undefined;
    return this.#unrendered.get(key) ?? rejectionOf(catalog, key) ?? unlocated;
  }

  folded({ catalog, rejections }: Folded): void {
    const { metrics, logger } = this.#parts;
    this.#malformed = catalog.rejected.size;
    metrics.rejections.inc(rejections.length);
    this.#count();
    for (const { key, reason, revision, lastGoodServes } of rejections.slice(0, mostLines)) {
      const line = { event: 'entry-rejected', key: showKey(key), reason, revision: String(revision), lastGoodServes };
      logger.warn(line, 'entry not served');
    }
    const more = rejections.length - mostLines;
    if (more > 0) logger.warn({ event: 'entries-rejected', count: more }, `${more} more entries not served`);
  }

  /** The problems of a rendering. A dirty key without a problem is in order now. */
  rendered(dirty: DirtySet, problems: readonly RenderProblem[], revision: Revision): void {
    const { metrics, logger } = this.#parts;
    const before = this.#unrendered;
    this.#unrendered = new Map([...before].filter(([key]) => !isDirty(key, dirty)));
    let fresh = 0;
    for (const { service, instance, reason, lastGoodServes } of problems) {
      const key = instance === undefined ? policyKey(service) : instanceKey(service, instance);
      this.#unrendered.set(key, { key, reason, lastGoodServes });
      if (before.get(key)?.reason === reason) continue;
      fresh += 1;
      const line = { event: 'not-rendered', key, reason, revision: String(revision), lastGoodServes };
      if (fresh <= mostLines) logger.warn(line, 'entry not served');
    }
    if (fresh > mostLines) {
      const more = fresh - mostLines;
      logger.warn({ event: 'entries-rejected', count: more }, `${more} more entries not served`);
    }
    metrics.rejections.inc(fresh);
    this.#count();
  }

  conflicting(conflicts: readonly Conflict[], table: RouteTable): void {
    const [past, present] = [byClause(this.#conflicts), byClause(conflicts)];
    this.#conflicts = conflicts;
    this.#unrouted = unroutedServices(conflicts, table);
    this.#conflictsByService = conflictSummaries(conflicts);
    this.#parts.metrics.conflicts.set(conflicts.reduce((sum, conflict) => sum + lossesIn(conflict), 0));
    const { logger } = this.#parts;
    const fresh = [...present].filter(([clause]) => !past.has(clause));
    for (const [clause, conflict] of fresh.slice(0, mostLines)) logger.warn({ event: 'conflict', ...conflict }, clause);
    const over = [...past].filter(([clause]) => !present.has(clause));
    for (const [clause, conflict] of over.slice(0, mostLines))
      logger.info({ event: 'conflict-over', ...conflict }, `this conflict is over: ${clause}`);
  }

  #count(): void {
    const { locating, openFiles, metrics } = this.#parts;
    metrics.rejected.set(this.#malformed + this.#unrendered.size + locating.count + openFiles.count);
  }
}

const byClause = (conflicts: readonly Conflict[]): ReadonlyMap<string, Conflict> =>
  new Map(conflicts.map((conflict) => [describeConflict(conflict), conflict]));

// A key can be as long as a value.
const shortKey = (key: string): string => (key.length > 1024 ? `${key.slice(0, 1024)}...` : key);

function isDirty(key: string, dirty: DirtySet): boolean {
  const [area, service = '', id = ''] = key.split('/');
  const mark = dirty.get(service as ServiceName);
  return mark !== undefined && (mark.whole || (area === 'instances' && mark.instances.has(id as InstanceId)));
}
