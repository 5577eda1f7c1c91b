import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { policyKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import type { RenderProblem } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TemplateRole } from '../../render/template.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Storage } from '../state/storage.ts';
import { compose, type RefusedBuild } from './candidates.ts';
import {
  acceptedNow,
  type FailedReload,
  findOffenders,
  offendersOfReload,
  type Refused,
  unrenderable,
} from './find-offenders.ts';
import {
  type Candidate,
  noQuarantine,
  type Quarantine,
  type Requested,
  sameTemplates,
  templateCandidate,
  templateChanged,
  withOffenders,
} from './quarantine.ts';
import { loadQuarantine, QuarantineFile } from './quarantine-file.ts';
import { logChanges } from './quarantine-status.ts';
import { RetrySchedule, type RetryScheduleParts, withNextVersion } from './retry-schedule.ts';
import { proven, type Reviewed, review, tryAgain, withoutChangedLines } from './review.ts';

export const quarantineMetrics = ({ gauge }: MakeMetric) => ({
  quarantined: gauge(
    'quarantined_services',
    'Services in quarantine, because HAProxy refuses them or no template renders them; each is served in its last good form or left out.',
  ),
  quarantinedInstances: gauge(
    'quarantined_instances',
    'Instances in quarantine, because HAProxy refuses their server line.',
  ),
  templatesRefused: gauge(
    'refused_templates',
    'Templates in quarantine, because HAProxy refuses them; the last good ones are in use.',
  ),
});

export type QuarantiningParts = RetryScheduleParts & {
  readonly files: StateFiles;
  readonly baseSettings: BaseSettings;
  readonly metrics: ReturnType<typeof quarantineMetrics>;
  readonly storage: Storage;
  readonly logger: Logger;
  /** The file that keeps the quarantine for the next start. */
  readonly path: string;
};

/** Keeps in quarantine what HAProxy refuses, so that the rest is served. Its last good form serves instead. */
export class Quarantining {
  readonly #parts: QuarantiningParts;
  #state: Quarantine = noQuarantine;
  readonly #schedule: RetrySchedule;
  readonly #file: QuarantineFile;

  constructor(parts: QuarantiningParts) {
    this.#parts = parts;
    this.#schedule = new RetrySchedule(parts);
    this.#file = new QuarantineFile(parts);
  }

  /** Takes over the quarantine of an earlier run, with the last known catalog. */
  async load(catalog: Catalog): Promise<void> {
    const loaded = await loadQuarantine(this.#parts.path, catalog);
    if (loaded === undefined) return;
    if ('unusable' in loaded) {
      this.#parts.logger.warn(
        { event: 'quarantine-unusable', reason: loaded.unusable },
        'pointsman lost the last good forms of the quarantine',
      );
      return;
    }
    this.#state = loaded;
    this.#schedule.failedAgain(loaded, loaded.services.keys());
    this.#count();
  }

  get refusedTemplate(): string | undefined {
    const [refused] = this.#state.templates.values();
    return refused?.reason;
  }

  /** Milliseconds until a service in quarantine is tried again; undefined: none is in quarantine. */
  nextRetryMs(): number | undefined {
    return this.#schedule.nextMs(this.#state);
  }

  /** Whether the newest version of a service waits to be checked by itself. */
  get hasCandidates(): boolean {
    return withNextVersion(this.#state).length > 0;
  }

  /** Tries what changed since HAProxy refused it. */
  review(requested: Requested): Omit<Reviewed, 'quarantine'> {
    const { quarantine, services, all } = review(this.#state, requested, this.#schedule.alone);
    this.#become(quarantine, requested.catalog);
    return { services, all };
  }

  /** What `review` would do for another catalog. Changes nothing. */
  preview(requested: Requested): Reviewed {
    return review(this.#state, requested, this.#schedule.alone);
  }

  /** Takes note of what was rendered, and with which problems; `dirty` undefined: everything was. */
  rendered(dirty: DirtySet | undefined, problems: readonly RenderProblem[], catalog: Catalog): void {
    const wasRendered = (service: ServiceName, id: InstanceId): boolean => {
      const mark = dirty?.get(service);
      return dirty === undefined || mark?.whole === true || mark?.instances.has(id) === true;
    };
    this.#become(withoutChangedLines(this.#state, wasRendered, problems), catalog);
  }

  get state(): Quarantine {
    return this.#state;
  }

  /** Takes note that HAProxy serves `requested`, rendered with the quarantine `then`. */
  proven(requested: Requested, then: Quarantine = this.#state): void {
    const before = this.#state.good?.templates;
    const wasOnTrial = this.#state.onTrial.size > 0;
    this.#become(proven(this.#state, requested, then), requested.catalog);
    const after = this.#state.good?.templates;
    const same = before !== undefined && after !== undefined && sameTemplates(before, after);
    if (wasOnTrial || !same) void this.save(requested.catalog);
  }

  /** Quarantines the frame template, if it changed since HAProxy accepted it. Returns whether it did. */
  quarantineFrame(requested: Requested, desired: Rendered, reason: string): boolean {
    return this.#quarantineTemplate('frame', requested, desired, reason);
  }

  /** Quarantines the frame or the policy template, because it cannot render what every configuration has. Returns whether it did. */
  quarantineUnusable(requested: Requested, desired: Rendered, reason: string): boolean {
    return (
      this.quarantineFrame(requested, desired, reason) || this.#quarantineTemplate('policy', requested, desired, reason)
    );
  }

  #quarantineTemplate(role: TemplateRole, requested: Requested, desired: Rendered, reason: string): boolean {
    if (!templateChanged(this.#state, requested.templates, role)) return false;
    this.#quarantine(new Map([[templateCandidate(role), reason]]), { requested, desired, served: desired });
    return true;
  }

  /** Quarantines the services or templates for which these problems arose. Returns whether it quarantined any. */
  quarantineUnrendered(problems: readonly RenderProblem[], build: RefusedBuild): boolean {
    const offenders = unrenderable(this.#state, build, problems, this.#parts.baseSettings);
    if (offenders.size > 0) this.#quarantine(offenders, build);
    return offenders.size > 0;
  }

  /** Finds the offenders for which HAProxy refused this, and quarantines them. Returns whether it found any. */
  async bisect(refused: Refused, build: RefusedBuild): Promise<boolean> {
    const offenders = await findOffenders(this.#state, refused, build, this.#parts);
    if (offenders === undefined) return false;
    this.#schedule.refused(offenders);
    this.#quarantine(offenders, build);
    return true;
  }

  quarantineAfterReload(failed: FailedReload, build: RefusedBuild): boolean {
    const offenders = offendersOfReload(this.#state, failed, build);
    if (offenders.size === 0) return false;
    this.#schedule.refused(offenders);
    this.#quarantine(offenders, build, true);
    return true;
  }

  /**
   * Tries the services that are due, or all in quarantine: a file that they need may be there now. Returns the services
   * that HAProxy accepts; the caller renders them again.
   */
  async retry(build: RefusedBuild, { all }: { readonly all: boolean }): Promise<readonly ServiceName[]> {
    const nextVersion = all ? undefined : this.#schedule.dueNewVersion(this.#state);
    if (nextVersion !== undefined) return this.#retryAlone(nextVersion, build);
    const tried = all ? new Set(this.#state.services.keys()) : this.#schedule.dueUnchanged(this.#state);
    const accepted = await acceptedNow(() => this.#state, tried, build, this.#parts);
    const still = new Set([...accepted].filter((name) => this.#state.services.has(name)));
    const refused = [...tried].filter((name) => !still.has(name));
    this.#schedule.failedAgain(this.#state, refused);
    if (still.size > 0) this.#become(tryAgain(this.#state, still, build.requested), build.requested.catalog);
    return [...still];
  }

  /** Checks the newest version of a service whose versions were refused lately, so that no reload of others fails with it. */
  async #retryAlone(name: ServiceName, build: RefusedBuild): Promise<readonly ServiceName[]> {
    const { files, baseSettings } = this.#parts;
    const { requested } = build;
    const names = new Set([name]);
    const trying = tryAgain(this.#state, names, requested);
    const { rendered, problems } = compose(this.#state, trying, build, baseSettings, names);
    const problem = problems.find(({ service, instance }) => service === name && instance === undefined);
    const checked = problem === undefined ? await files.check(rendered, { keep: false }) : { ok: false, ...problem };
    // The service left meanwhile, or is requested as HAProxy refused it before.
    if (this.#state.services.get(name)?.nextVersion === undefined) return [];
    if (checked.ok) {
      this.#schedule.acceptedAlone(name);
      this.#become(tryAgain(this.#state, names, requested), requested.catalog);
      return [name];
    }
    const offenders = new Map([[policyKey(name), checked.reason]]);
    this.#schedule.refused(offenders);
    this.#quarantine(offenders, build);
    this.#schedule.failedAgain(this.#state, names);
    return [];
  }

  save(catalog: Catalog): Promise<void> {
    return this.#file.save(() => this.#state, catalog);
  }

  #quarantine(offenders: ReadonlyMap<Candidate, string>, build: Omit<RefusedBuild, 'cold'>, afterReload = false): void {
    const { catalog } = build.requested;
    const before = this.#state.services;
    this.#become(withOffenders(this.#state, offenders, build), catalog);
    const fresh = [...this.#state.services.keys()].filter((name) => !before.has(name));
    this.#schedule.failedAgain(this.#state, fresh, afterReload);
    // Nothing waits for the disk, which may hang.
    void this.save(catalog);
  }

  #become(next: Quarantine, { revision }: Catalog): void {
    if (next === this.#state) return;
    this.#schedule.keepOnly(next);
    logChanges(this.#state, next, revision, this.#parts.logger);
    this.#state = next;
    this.#count();
  }

  #count(): void {
    const { services, instances, templates } = this.#state;
    this.#parts.metrics.quarantined.set(services.size);
    this.#parts.metrics.quarantinedInstances.set(instances.size);
    this.#parts.metrics.templatesRefused.set(templates.size);
  }
}
