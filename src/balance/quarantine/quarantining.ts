import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Policy } from '../../model/policy.ts';
import type { RenderProblem, Templating } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TemplateRole } from '../../render/template.ts';
import type { FrameSettings } from '../../render/view.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import { dueNow, failedAgain, nextDueMs, onlyThese, type PaceBounds, type RetryPace } from '../reload/retry-pace.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Storage } from '../state/storage.ts';
import type { CheckedConfig } from '../state/validation.ts';
import { attribute } from './attribution.ts';
import { bisect, type ValidationAnswer } from './bisect.ts';
import {
  answerReader,
  candidatesByKind,
  candidatesOf,
  compose,
  leavesNobody,
  type RefusedBuild,
  withNewListeners,
} from './candidates.ts';
import {
  type Candidate,
  hold,
  instanceCandidate,
  noQuarantine,
  proven,
  type Quarantine,
  type QuarantinedService,
  type Requested,
  type Reviewed,
  review,
  sameTemplates,
  serviceCandidate,
  templateCandidate,
  templateChanged,
  tryAgain,
  withoutMended,
  withQuarantined,
  withQuarantinedInstances,
} from './quarantine.ts';
import { formatQuarantine, loadQuarantine } from './quarantine-file.ts';
import {
  acceptedAlone,
  checkedAlone,
  dueInMs,
  noRefusals,
  type RecentRefusals,
  type RefusalWaits,
  refusalWaits,
  refusedAgain,
} from './refusals.ts';
import { unrenderable } from './unrenderable.ts';

export type QuarantiningParts = {
  readonly files: StateFiles;
  readonly frame: FrameSettings;
  readonly metrics: BalanceMetrics;
  readonly storage: Storage;
  readonly logger: Logger;
  /** Where what is held outlives us. */
  readonly path: string;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** When one that is held is first tried again, in ms; ever more seldom later. */
  readonly probeMs: number;
  /** From 0 to 1. */
  readonly random?: (() => number) | undefined;
};

/** Something that HAProxy refuses as it is asked for, for `/status`. */
export type QuarantineStatus = {
  readonly key: string;
  readonly reason: string;
  readonly revision: string;
  /** What is served instead. */
  readonly serves: 'last-good' | 'nothing';
};

type Refused = Extract<CheckedConfig, { ok: false }>;

// A check takes 60 ms with 1,000 servers and 260 ms with 10,000.
const mostChecks = 24;
const searchMs = 10_000;
const mostProbeMs = 300_000;
const mostReloadMs = 3_600_000;

/** Holds what HAProxy refuses in its last good form, so that everything else goes on. */
export class Quarantining {
  readonly #parts: QuarantiningParts;
  #state: Quarantine = noQuarantine;
  #saved: string | undefined;
  #pace: RetryPace = new Map();
  #refusals: RecentRefusals = noRefusals;
  #saving: Promise<void> = Promise.resolve();

  constructor(parts: QuarantiningParts) {
    this.#parts = parts;
  }

  /** Takes over what an earlier run held, beside the last known catalog. */
  async load(catalog: Catalog): Promise<void> {
    const loaded = await loadQuarantine(this.#parts.path, catalog);
    if (loaded === undefined) return;
    if ('unusable' in loaded) {
      this.#parts.logger.warn(
        { event: 'quarantine-unusable', reason: loaded.unusable },
        'its last good forms are lost',
      );
      return;
    }
    this.#state = loaded;
    this.#failedAgain(loaded.services.keys());
    this.#count();
  }

  status(): readonly QuarantineStatus[] {
    const { templates, services, instances } = this.#state;
    const of = (
      key: string,
      { reason, revision }: { reason: string; revision: bigint },
      good: boolean,
    ): QuarantineStatus => ({
      key,
      reason,
      revision: String(revision),
      serves: good ? 'last-good' : 'nothing',
    });
    return [
      ...[...templates].map(([role, held]) => of(templateCandidate(role), held, true)),
      ...[...services].map(([name, held]) => of(serviceCandidate(name), held, held.form !== undefined)),
      ...[...instances.values()].map((held) => of(instanceCandidate(held.service, held.id), held, held.kept)),
    ];
  }

  /** Why a template is not used; undefined when all are. */
  get refusedTemplate(): string | undefined {
    const [held] = this.#state.templates.values();
    return held?.reason;
  }

  /** For those who wait: what is not served. Of a service in its last good form that is its policy alone. */
  refusals(served: Rendered): readonly Refusal[] {
    return [...this.#state.services].map(([name, { form, reason }]) => {
      if (form !== undefined) return { key: `services/${name}`, reason };
      const absent = (served.backends.get(name)?.servers.size ?? 0) === 0;
      return { key: `instances/${name}/*`, reason, absent };
    });
  }

  /** In how many ms the next of those that are held is to be tried again; undefined while there are none. */
  nextProbeMs(): number | undefined {
    const now = this.#parts.now();
    const due = this.#withNextVersion.map((name) => dueInMs(this.#refusals, name, now));
    const held = nextDueMs(this.#pace, this.#heldAsRefused, now);
    return due.length === 0 ? held : Math.min(...due, held ?? Number.POSITIVE_INFINITY);
  }

  /** Services whose newest version waits to be checked by itself. */
  get #withNextVersion(): readonly ServiceName[] {
    return this.#held(({ nextVersion }) => nextVersion !== undefined);
  }

  /** Services that are asked for as HAProxy refused them. */
  get #heldAsRefused(): readonly ServiceName[] {
    return this.#held(({ nextVersion }) => nextVersion === undefined);
  }

  #held(those: (held: QuarantinedService) => boolean): readonly ServiceName[] {
    return [...this.#state.services].filter(([, held]) => those(held)).map(([name]) => name);
  }

  /** Whether the newest version of a service waits to be checked by itself. */
  get hasCandidates(): boolean {
    return this.#withNextVersion.length > 0;
  }

  /** The policy that serves a service which HAProxy refuses as it is asked for; undefined where the asked one serves, or none. */
  quarantinedPolicy(service: ServiceName): Policy | undefined {
    return this.#state.services.get(service)?.form?.policy;
  }

  /** What is to be rendered instead of what is asked for. */
  withQuarantined(requested: Requested): { catalog: Catalog; templating: Templating } {
    return withQuarantined(this.#state, requested);
  }

  /** Tries again what changed since it was refused. */
  review(requested: Requested): Omit<Reviewed, 'quarantine'> {
    const alone = checkedAlone(this.#refusals, this.#parts.now());
    const { quarantine, services, all } = review(this.#state, requested, alone);
    this.#become(quarantine, requested.catalog);
    return { services, all };
  }

  /** What was rendered anew, and with which problems; `touched` undefined: everything. */
  rendered(dirty: DirtySet | undefined, problems: readonly RenderProblem[], catalog: Catalog): void {
    const wasRendered = (service: ServiceName, id: InstanceId): boolean => {
      const mark = dirty?.get(service);
      return dirty === undefined || mark?.whole === true || mark?.instances.has(id) === true;
    };
    this.#become(withoutMended(this.#state, wasRendered, problems), catalog);
  }

  /** `desired` with the held instances as they are served, or without them. */
  withQuarantinedInstances(desired: Rendered, served: Rendered): Rendered {
    return withQuarantinedInstances(this.#state, desired, served);
  }

  /** What is held now, for `proven`. */
  get state(): Quarantine {
    return this.#state;
  }

  /** HAProxy serves what was made of this, with what was held `then`; undefined: what is held now. */
  proven(requested: Requested, then: Quarantine = this.#state): void {
    const before = this.#state.good?.templates;
    const wasOnTrial = this.#state.onTrial.size > 0;
    this.#become(proven(this.#state, requested, then), requested.catalog);
    const after = this.#state.good?.templates;
    const same = before !== undefined && after !== undefined && sameTemplates(before, after);
    if (wasOnTrial || !same) void this.save(requested.catalog);
  }

  /** The frame cannot be used. False when there is no good one to hold it in. */
  quarantineFrame(requested: Requested, desired: Rendered, reason: string): boolean {
    return this.#holdTemplate('frame', requested, desired, reason);
  }

  /** The frame, or the default policy, which is always there, cannot even be rendered. False when no good template is known. */
  holdUnusable(requested: Requested, desired: Rendered, reason: string): boolean {
    return this.quarantineFrame(requested, desired, reason) || this.#holdTemplate('policy', requested, desired, reason);
  }

  #holdTemplate(role: TemplateRole, requested: Requested, desired: Rendered, reason: string): boolean {
    if (!templateChanged(this.#state, requested.templates, role)) return false;
    this.#hold(new Map([[templateCandidate(role), reason]]), { requested, desired, served: desired });
    return true;
  }

  /** Quarantines the services or templates for which these problems arose. Returns whether it quarantined any. */
  holdUnrendered(problems: readonly RenderProblem[], build: RefusedBuild): boolean {
    const offenders = unrenderable(this.#state, build, problems, this.#parts.frame);
    if (offenders.size > 0) this.#hold(offenders, build);
    return offenders.size > 0;
  }

  /** Finds those for whom HAProxy refused this, and holds them. False when it is nobody that can be held. */
  async bisect(refused: Refused, build: RefusedBuild): Promise<boolean> {
    const { desired } = build;
    const { files, frame, logger, now } = this.#parts;
    const started = now();
    const state = this.#state;
    const candidates = candidatesOf(state, build);
    const nameIn = answerReader(state, build);
    const verdict = await bisect<Candidate>({
      candidates,
      first: { ok: false, reason: refused.reason, named: nameIn(refused.problems, desired) },
      ask: async (held): Promise<ValidationAnswer<Candidate>> => {
        const reasons = new Map([...held].map((candidate) => [candidate, '']));
        const { rendered } = compose(state, hold(state, reasons, build), build, frame);
        const checked = await files.check(rendered, { keep: false });
        if (checked.ok) return checked;
        return { ok: false, reason: checked.reason, named: nameIn(checked.problems, rendered) };
      },
      most: mostChecks,
      patient: () => now() - started < searchMs,
    });
    const ms = Math.round(now() - started);
    // Where only an address cannot be had, a balancer may well begin with nobody: that is over by itself.
    const nobodyLeft = refused.mayPass !== 'address' && leavesNobody(state, verdict?.offenders ?? new Map(), build);
    if (verdict === undefined || nobodyLeft) {
      logger.debug({ event: 'nobody-to-hold', suspects: candidates.length, ms }, 'it is nobody that can be held');
      return false;
    }
    logger.debug({ event: 'culprits-found', checks: verdict.questions, suspects: candidates.length, ms });
    this.#refused(verdict.offenders);
    this.#hold(verdict.offenders, build);
    return true;
  }

  /** HAProxy refused these: the next version of a service that this happens to often is checked by itself. */
  #refused(offenders: ReadonlyMap<Candidate, string>): void {
    const reasons = new Map(
      [...offenders].flatMap(([candidate, reason]) => {
        const [area, name = ''] = candidate.split('/');
        return area === 'services' ? [[name as ServiceName, reason] as const] : [];
      }),
    );
    this.#refusals = refusedAgain(this.#refusals, reasons, this.#waits, this.#parts.now());
  }

  /** Holds those that a failed reload names. False when it names nobody that can be held. */
  quarantineNamed(reason: string, build: RefusedBuild): boolean {
    const line = /\[\/[^\]\s]*:(\d+)\]/.exec(reason)?.[1];
    const problem = { line: line === undefined ? undefined : Number(line), text: reason, reason };
    const named = answerReader(this.#state, build)([problem], build.desired);
    return this.#holdAfterReload(named, build);
  }

  /** Holds those for whom HAProxy would listen on another address than now. False when there are none that can be held. */
  quarantineNewListeners(reason: string, build: RefusedBuild): boolean {
    const names = withNewListeners(this.#state, build);
    const why = names.length === 1 ? reason : `one of ${names.length} with a new port: ${reason}`;
    return this.#holdAfterReload(new Map(names.map((name) => [serviceCandidate(name), why])), build);
  }

  /** Holds all services that changed since HAProxy took something. Each is tried again at another time. */
  quarantineChanged(reason: string, build: RefusedBuild): boolean {
    const changed = candidatesByKind(this.#state, build).changed.filter((one) => one.startsWith('services/'));
    const why = changed.length === 1 ? reason : `one of ${changed.length} that changed: ${reason}`;
    return this.#holdAfterReload(new Map(changed.map((candidate) => [candidate, why])), build);
  }

  /** Only a reload tells whether they would be taken now, and each that fails may cost others something: it is done seldom. */
  #holdAfterReload(offenders: ReadonlyMap<Candidate, string>, build: RefusedBuild): boolean {
    this.#refused(offenders);
    if (offenders.size > 0) this.#hold(offenders, build, { firstMs: 6 * this.#parts.probeMs, mostMs: mostReloadMs });
    return offenders.size > 0;
  }

  /**
   * Asks whether those that are due, or all that are held, would be taken now, for what they need from outside may have
   * come. Gives those that are to be rendered anew.
   */
  async probe(build: RefusedBuild, { all }: { readonly all: boolean }): Promise<readonly ServiceName[]> {
    const { files, frame, now } = this.#parts;
    const nextVersion = all
      ? undefined
      : this.#withNextVersion.find((name) => dueInMs(this.#refusals, name, now()) === 0);
    if (nextVersion !== undefined) return this.#probeAlone(nextVersion, build);
    let names = all ? new Set(this.#state.services.keys()) : dueNow(this.#pace, this.#heldAsRefused, now());
    const tried = names;
    // Some of them may be named as still bad; the others get a second chance at once.
    for (let attempt = 0; attempt < 2 && names.size > 0; attempt += 1) {
      const { rendered, problems } = compose(
        this.#state,
        tryAgain(this.#state, names, build.requested),
        build,
        frame,
        names,
      );
      const able = new Set([...names].filter((name) => !problems.some(({ service }) => service === name)));
      if (able.size < names.size) {
        names = able;
        continue;
      }
      const checked = await files.check(rendered, { keep: false });
      if (checked.ok) {
        const still = new Set([...names].filter((name) => this.#state.services.has(name)));
        this.#failedAgain([...tried].filter((name) => !still.has(name)));
        this.#become(tryAgain(this.#state, still, build.requested), build.requested.catalog);
        return [...still];
      }
      const named = attribute(checked.problems, rendered, {
        holdable: (name) => names.has(name),
        hasForm: () => true,
        frameChanged: false,
      });
      const left = [...names].filter((name) => !named.has(serviceCandidate(name)));
      if (left.length === names.size) break;
      names = new Set(left);
    }
    this.#failedAgain(tried);
    return [];
  }

  /** Checks the newest version of a service whose versions were refused lately, so that no reload of others fails with it. */
  async #probeAlone(name: ServiceName, build: RefusedBuild): Promise<readonly ServiceName[]> {
    const { files, frame, now } = this.#parts;
    const { requested } = build;
    const names = new Set([name]);
    const trying = tryAgain(this.#state, names, requested);
    const { rendered, problems } = compose(this.#state, trying, build, frame, names);
    const problem = problems.find(({ service, instance }) => service === name && instance === undefined);
    const checked = problem === undefined ? await files.check(rendered, { keep: false }) : { ok: false, ...problem };
    // It left meanwhile, or is asked for as it was refused before.
    if (this.#state.services.get(name)?.nextVersion === undefined) return [];
    if (checked.ok) {
      this.#refusals = acceptedAlone(this.#refusals, name, this.#waits, now());
      this.#become(tryAgain(this.#state, names, requested), requested.catalog);
      return [name];
    }
    const offenders = new Map([[serviceCandidate(name), checked.reason]]);
    this.#refused(offenders);
    this.#hold(offenders, build);
    this.#failedAgain(names);
    return [];
  }

  /** A balancer that tries quarantined services again sooner checks new versions sooner, too. */
  get #waits(): RefusalWaits {
    const { probeMs } = this.#parts;
    return { firstMs: Math.min(refusalWaits.firstMs, probeMs), mostMs: Math.min(refusalWaits.mostMs, 10 * probeMs) };
  }

  get #bounds(): PaceBounds {
    return { firstMs: this.#parts.probeMs, mostMs: mostProbeMs };
  }

  /** These are held, perhaps again: each is tried later than the last time. */
  #failedAgain(names: Iterable<ServiceName>, bounds: PaceBounds = this.#bounds): void {
    const { now, random = Math.random } = this.#parts;
    const failed = [...names].flatMap((name) => {
      const tried = this.#state.services.get(name)?.tried;
      return tried === undefined ? [] : [[name, tried] as const];
    });
    this.#pace = failedAgain(this.#pace, failed, bounds, { now: now(), random });
  }

  /** Has what is held outlive us. */
  save(catalog: Catalog): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const text = formatQuarantine(this.#state, catalog);
      if (text === undefined || text === this.#saved) return;
      try {
        await this.#parts.files.writeInTurn(this.#parts.path, text);
        this.#saved = text;
        this.#parts.storage.worked('quarantine');
      } catch (error) {
        this.#parts.storage.failed('quarantine', error);
      }
    });
    return this.#saving;
  }

  #hold(
    offenders: ReadonlyMap<Candidate, string>,
    build: Omit<RefusedBuild, 'cold'>,
    bounds: PaceBounds = this.#bounds,
  ): void {
    const { catalog } = build.requested;
    const before = this.#state.services;
    this.#become(hold(this.#state, offenders, build), catalog);
    this.#failedAgain(
      [...this.#state.services.keys()].filter((name) => !before.has(name)),
      bounds,
    );
    // Not waited for: a disk that hangs holds up nobody.
    void this.save(catalog);
  }

  /** Goes on from this state, and tells what is held that was not, and what is not any more. */
  #become(next: Quarantine, { revision }: Catalog): void {
    if (next === this.#state) return;
    const { logger } = this.#parts;
    if (this.#pace.size > 0) {
      this.#pace = onlyThese(this.#pace, new Set([...next.services.keys(), ...next.onTrial.keys()]));
    }
    const before = new Map(this.status().map((one) => [one.key, one]));
    const onTrial = new Set([...this.#state.onTrial.keys()].map(serviceCandidate));
    this.#state = next;
    const trial = new Set([...next.onTrial.keys()].map(serviceCandidate));
    const now = new Map(this.status().map((one) => [one.key, one]));
    for (const [key, { reason, serves, revision: at }] of now) {
      if (before.get(key)?.reason === reason) continue;
      // A template is everybody's: it is told as what concerns the whole configuration.
      if (key.startsWith('templates/')) logger.error({ event: 'config-refused', key, reason, revision: at }, reason);
      else logger.error({ event: 'quarantined', key, reason, revision: at, serves }, `${key} is held: ${reason}`);
    }
    const gone = [...before.keys(), ...onTrial].filter((key) => !now.has(key) && !trial.has(key as Candidate));
    for (const key of gone)
      logger.info({ event: 'released', key, revision: String(revision) }, `${key} is served as asked`);
    this.#count();
  }

  #count(): void {
    const { services, instances, templates } = this.#state;
    this.#parts.metrics.quarantined.set(services.size);
    this.#parts.metrics.quarantinedInstances.set(instances.size);
    this.#parts.metrics.templatesRefused.set(templates.size);
  }
}
