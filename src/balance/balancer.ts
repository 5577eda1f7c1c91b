import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Catalog, emptyCatalog, endOverrides, type Folded, foldEvent } from '../catalog/catalog.ts';
import type { CatalogLimits } from '../catalog/limits.ts';
import type { OverrideTarget } from '../catalog/overrides.ts';
import { withSiblings } from '../catalog/split.ts';
import type { Refusal } from '../fleet/acknowledgement.ts';
import type { Haproxy, Processes } from '../haproxy/haproxy.ts';
import { afterStep, describeReason, type Graveyard, planChanges } from '../haproxy/plan.ts';
import { reconcile } from '../haproxy/running-state.ts';
import type { RuntimeLink } from '../haproxy/runtime-link.ts';
import { describeStep, type Step } from '../haproxy/step.ts';
import { describe, Fault } from '../model/fault.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Revision } from '../model/revision.ts';
import { allTouched, type Touched, TouchedGathering } from '../model/touched.ts';
import type { RegistryEvent } from '../registry/registry.ts';
import {
  type Conflict,
  nothingRendered,
  type Rendered,
  type RenderResult,
  renderAll,
  renderTouched,
  type Templates,
  withoutUnusedPolicies,
} from '../render/render.ts';
import type { FrameSettings } from '../render/view.ts';
import type { Certificates } from './certificates.ts';
import { deferred } from './deferred.ts';
import { DriftLog, type DriftStatus } from './drift-log.ts';
import { Burials } from './graveyard.ts';
import type { Guarding } from './guarding.ts';
import type { BalanceMetrics } from './metrics.ts';
import type { Overriding } from './overriding.ts';
import { Progress } from './progress.ts';
import type { Asked } from './quarantine.ts';
import type { QuarantineStatus, Quarantining } from './quarantining.ts';
import { Rejections, type Unserved } from './rejections.ts';
import { Reloads } from './reloads.ts';
import type { CheckedConfig, StateFiles } from './state-files.ts';
import { isStorageFault } from './storage.ts';
import type { Suspicion } from './suspicion.ts';
import { Timers } from './timers.ts';
import { unserved } from './unserved.ts';

export type BalancerParts = {
  readonly templates: Templates;
  readonly frame: FrameSettings;
  readonly haproxy: Haproxy;
  readonly link: RuntimeLink;
  readonly files: StateFiles;
  readonly quarantining: Quarantining;
  readonly guarding: Guarding;
  readonly overriding: Overriding;
  readonly limits: CatalogLimits;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  readonly reloadIntervalMs: number;
  readonly certificates?: Pick<Certificates, 'serve'> | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** In ms since 1970. */
  readonly wall?: () => number;
  readonly observer?: ServingObserver;
};

/** Told what HAProxy serves, as it comes to serve it. */
export interface ServingObserver {
  /** HAProxy was given what was touched. */
  took(touched: Touched, catalog: Catalog): void;
  /** HAProxy serves this catalog, but for what is refused; nothing more can be done for it now. */
  settled(catalog: Catalog, refused: readonly Refusal[]): void;
}

export type BalancerStatus = {
  readonly revisionSeen: Revision;
  readonly revisionApplied: Revision;
  readonly serving: boolean;
  readonly catalog: Catalog;
  /** Entries that are not served; the first of them. */
  readonly rejected: readonly Unserved[];
  readonly rejections: Pick<Rejections, 'of'>;
  readonly conflicts: readonly Conflict[];
  readonly served: Rendered;
  readonly desired: Rendered;
  /** Left, and still closing connections, by `service/instance`. */
  readonly lingering: Graveyard;
  /** Why a reload waits, one clause each; empty when all is applied. */
  readonly pending: readonly string[];
  /** The newest frame or template was refused for this reason, and an older one serves. */
  readonly refused: string | undefined;
  /** What HAProxy refuses alone, so that everything else is served as asked. */
  readonly quarantined: readonly QuarantineStatus[];
  /** What HAProxy ran lately that it was not given; undefined when there was nothing. */
  readonly drift: DriftStatus | undefined;
};

// A reload or a restart can change what runs behind our back: cheap to ask often who the worker is, dearer to read all.
const workerPatrolMs = 2000;
const inspectPatrolMs = 30_000;
const afterReplacementMs = 1000;
const graveyardMs = 500;
const mostListed = 1000;
const guardPatrolMs = 500;
const retryMs = { first: 100, most: 5000 };

/**
 * The loop: folds what the registry says, renders what was touched, plans the difference and applies it. What arrives
 * while a round is under way is folded and goes into the next one; that is all the batching there is.
 */
export class Balancer {
  readonly #parts: BalancerParts;
  #catalog: Catalog = emptyCatalog;
  /** What the registry asks for. */
  #desired: Rendered = nothingRendered;
  /** What HAProxy runs, as far as its answers tell. */
  #served: Rendered = nothingRendered;
  /** The newest catalog that a round gave HAProxy; undefined while it may run something else. */
  #given: Catalog | undefined;
  #templates: Templates;
  #mustRenderAll = false;
  readonly #touched = new TouchedGathering();
  readonly #progress: Progress;
  readonly #reloads: Reloads;
  readonly #rejections: Rejections;
  readonly #burials: Burials;
  readonly #drift: DriftLog;
  #worker: number | undefined;
  #serving = false;
  #stopped = false;
  #exited = false;
  #mustInspect = false;
  #mustBury = false;
  #running: Promise<void> | undefined;
  readonly #firstRound = deferred();
  #retryMs = retryMs.first;
  #preloaded: Catalog = emptyCatalog;
  /** Looks for those for whom a configuration was refused; rounds go on meanwhile. */
  #isolating: Promise<void> | undefined;
  #mustProbe = false;
  readonly #timers: Timers;

  constructor(parts: BalancerParts) {
    this.#parts = parts;
    this.#templates = parts.templates;
    this.#progress = new Progress({ wall: Date.now, ...parts });
    this.#rejections = new Rejections(parts);
    this.#reloads = new Reloads({ ...parts, intervalMs: parts.reloadIntervalMs });
    this.#burials = new Burials(parts.metrics);
    this.#drift = new DriftLog(parts);
    this.#timers = new Timers((task, error) => {
      parts.logger.warn({ event: 'patrol-failed', task, reason: describe(error) }, describe(error));
      this.#mustInspect = true;
      this.#wake();
    });
  }

  status(): BalancerStatus {
    return {
      revisionSeen: this.#catalog.revision,
      revisionApplied: this.#progress.applied,
      serving: this.#serving && !this.#exited,
      catalog: this.#catalog,
      rejected: this.#rejections.list(this.#catalog, mostListed),
      rejections: this.#rejections,
      conflicts: this.#rejections.conflicts,
      served: this.#served,
      desired: this.#desired,
      lingering: this.#burials.servers,
      pending: this.#reloads.pending,
      refused: this.#reloads.refused ?? this.#parts.quarantining.refusedTemplate,
      quarantined: this.#parts.quarantining.status(),
      drift: this.#drift.status(),
    };
  }

  /** Takes what the registry said. Folding is immediate; applying follows in the next round. */
  offer(event: RegistryEvent): void {
    this.#take(foldEvent(this.#catalog, event, this.#parts.limits), event.kind === 'changes');
  }

  /** The time of these overrides is up. */
  endOverrides(targets: readonly OverrideTarget[]): void {
    this.#take(endOverrides(this.#catalog, targets), true);
  }

  #take(fold: Folded, live: boolean): void {
    const { metrics, guarding, overriding } = this.#parts;
    const folded = overriding.take(fold, live);
    const { catalog, touched, changes } = folded;
    this.#catalog = catalog;
    guarding.fold(folded);
    metrics.revisionSeen.set(Number(catalog.revision));
    this.#rejections.folded(folded);
    if (touched.size > 0) {
      this.#touched.add(touched);
      this.#progress.seen(changes, live ? writtenAt(folded) : []);
    } else if (this.#running === undefined) this.#settle();
    this.#wake();
  }

  /** Replaces the empty catalog by one from disk, before anything is served. */
  preload(catalog: Catalog): void {
    this.#catalog = this.#parts.overriding.adopt(catalog);
    this.#preloaded = this.#catalog;
  }

  /**
   * Brings HAProxy up on the catalog as it is now, or takes over one that still runs from before. Rejects with a Fault
   * when neither the new configuration nor the last good one can be served.
   */
  async start(): Promise<void> {
    const { haproxy, files, logger, quarantining } = this.#parts;
    this.#touched.take();
    const lastGood = await files.readServed();
    await quarantining.load(this.#preloaded);
    this.#desired = lastGood ?? nothingRendered;
    this.#mustRenderAll = true;
    this.#renderDesired(new Map(), this.#asked());
    const running = await haproxy.findRunning(lastGood !== undefined);
    if (running?.workerPid !== undefined && lastGood !== undefined) {
      logger.info({ event: 'haproxy-adopted', pid: running.masterPid }, 'taking over the HAProxy that runs already');
      this.#served = lastGood;
      this.#mustInspect = true;
      if (await files.wasReloading()) this.#reloads.need({ kind: 'start' });
    } else {
      if (running !== undefined) await haproxy.stop(0);
      await this.#coldStart(lastGood);
    }
    this.#serving = true;
    files.beQuick();
    this.#armProbe();
    this.#touchAll();
    this.#timers.arm('worker-patrol', workerPatrolMs, () => this.#patrol());
    this.#wake();
    // Not until all is quiet, which a busy registry never is.
    await Promise.race([this.#running, this.#firstRound.promise]);
  }

  /** Ends the loop, writes what is served, and stops HAProxy after its open requests (at most `graceMs`). */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#timers.close();
    await this.#running;
    await this.#isolating;
    await this.#parts.quarantining.save(this.#catalog);
    await this.#parts.files.settle();
    this.#parts.link.close();
    await this.#parts.haproxy.stop(graceMs);
  }

  /** Renders with other templates from now on. What HAProxy refuses of it changes nothing. */
  useTemplates(templates: Templates): void {
    this.#templates = templates;
    this.#parts.files.useTemplates(templates);
    this.#mustRenderAll = true;
    this.#touchAll();
    this.#wake();
  }

  /** Something else than the registry decided about this instance: look at it anew. */
  touch(service: ServiceName, id: InstanceId): void {
    this.#touched.instance(service, id);
    if (this.#parts.guarding.holding && !this.#timers.has('guard'))
      this.#timers.arm('guard', guardPatrolMs, () => this.#observe());
    this.#wake();
  }

  /** Whether the worker that serves is the one that rounds spoke with. It is looked at if not. */
  async isCurrent(): Promise<boolean> {
    const processes = await this.#parts.haproxy.processes();
    if (processes?.workerPid !== undefined && processes.workerPid === this.#parts.link.workerPid) return true;
    this.#mustInspect = true;
    this.#wake();
    return false;
  }

  /** Something beside the registry changed: see that HAProxy has it. */
  lookSoon(): void {
    this.#mustInspect = true;
    this.#wake();
  }

  /** HAProxy ended by itself. */
  haproxyExited(reason: string): void {
    this.#parts.logger.error({ event: 'haproxy-exited', reason }, 'HAProxy ended; starting it again');
    this.#exited = true;
    this.#parts.link.close();
    this.#timers.disarm('retry');
    this.#wake();
  }

  /** The runtime connection broke: the worker was replaced or is gone. */
  runtimeLost(reason: string): void {
    this.#parts.logger.info({ event: 'runtime-lost', reason }, 'connection to HAProxy lost');
    this.#mustInspect = true;
    this.#wake();
  }

  #wake(): void {
    if (this.#running !== undefined || this.#stopped || !this.#serving) return;
    if (!this.#hasWork()) {
      this.#awaitReload();
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#hasWork()) this.#wake();
      else this.#awaitReload();
    });
  }

  #hasWork(): boolean {
    if (this.#timers.has('retry')) return false;
    return (
      this.#exited ||
      this.#mustInspect ||
      this.#mustBury ||
      !this.#touched.empty ||
      this.#reloadDue() ||
      this.#probeDue()
    );
  }

  #reloadDue(): boolean {
    return this.#reloads.dueInMs === 0 && this.#isolating === undefined;
  }

  #probeDue(): boolean {
    return this.#mustProbe && this.#isolating === undefined;
  }

  async #run(): Promise<void> {
    while (!this.#stopped && this.#hasWork()) {
      const exitedBefore = this.#exited;
      try {
        if (this.#exited) await this.#startAgain();
        else if (this.#mustInspect || !this.#parts.link.connected) await this.#inspect();
        else if (!this.#touched.empty) await this.#round();
        else if (this.#mustBury) await this.#bury();
        else if (this.#reloadDue()) await this.#reload();
        else await this.#probe();
        this.#retryMs = retryMs.first;
      } catch (error) {
        this.#mustInspect = true;
        this.#given = undefined;
        // It failed because HAProxy ended, which is told already and is what to do next.
        if (this.#exited && !exitedBefore) continue;
        this.#parts.logger.error(
          { event: 'round-failed', reason: describe(error), code: codeOf(error) },
          describe(error),
        );
        this.#timers.arm('retry', this.#retryMs, () => this.#wake());
        this.#retryMs = Math.min(this.#retryMs * 2, retryMs.most);
      }
      this.#settle();
    }
  }

  async #round(): Promise<void> {
    const { observer, now } = this.#parts;
    const began = now();
    const given = this.#catalog;
    const asked = this.#asked();
    this.#review(asked);
    const touched = withSiblings(this.#touched.take(), asked.catalog);
    const catalog = this.#renderDesired(touched, asked);
    const rendered = now();
    const plan = planChanges(this.#served, this.#desired, touched, this.#burials.servers, this.#parts.link.abilities);
    for (const reason of plan.reload) this.#reloads.need(reason);
    try {
      await this.#execute(plan.steps);
    } catch (error) {
      this.#touched.add(touched);
      throw error;
    }
    this.#progress.round({
      began,
      rendered,
      commanded: now(),
      what: [...plan.steps.map(describeStep), ...plan.reload.map(describeReason)],
    });
    this.#abandon(touched);
    if (plan.reload.length > 0) {
      this.#reloads.tryAgain();
      // What is asked for may be refused: what was good must be on disk before the catalog that has forgotten it.
      void this.#parts.quarantining.save(this.#catalog);
    }
    if (this.#reloads.pending.length === 0) this.#progress.reached(this.#desired.revision);
    this.#given = given;
    observer?.took(touched, catalog);
    this.#firstRound.resolve();
    this.#parts.files.saveSoon(this.#served, this.#catalog);
  }

  async #execute(steps: readonly Step[]): Promise<void> {
    if (steps.length === 0) return;
    const { link, metrics, logger } = this.#parts;
    const outcomes = await link.execute(steps);
    for (const [i, step] of steps.entries()) {
      const outcome = outcomes[i];
      if (outcome === undefined) continue;
      metrics.steps.inc({ kind: step.kind, outcome: outcome.kind });
      logger.debug({ event: 'step', step: describeStep(step), outcome: outcome.kind });
      if (outcome.kind === 'refused') {
        this.#reloads.need({ kind: 'refused', command: outcome.command, answer: outcome.answer });
        continue;
      }
      if (step.kind === 'revive-server') this.#burials.revive(`${step.backend}/${step.server.name}`);
      if (outcome.kind === 'lingers' && step.kind === 'remove-server') this.#linger(step.backend, step.name);
      this.#served = afterStep(this.#served, this.#desired, step);
    }
  }

  #linger(backend: string, name: string): void {
    const line = this.#served.backends.get(backend as ServiceName)?.servers.get(name as InstanceId);
    if (line === undefined) return;
    this.#burials.linger(`${backend}/${name}`, line);
    if (!this.#timers.has('graveyard')) this.#armBurial();
  }

  /** Has backends that nothing needs any more deleted, where HAProxy can; elsewhere they end with the next reload. */
  #abandon(touched: Touched): void {
    if (!this.#parts.link.abilities.addBackend) return;
    for (const name of touched.keys()) {
      if (this.#desired.backends.has(name) || !this.#served.backends.has(name)) continue;
      this.#burials.abandon(name);
      if (!this.#timers.has('graveyard')) this.#armBurial();
    }
  }

  #armBurial(): void {
    this.#timers.arm('graveyard', graveyardMs, () => {
      this.#mustBury = true;
      this.#wake();
    });
  }

  async #bury(): Promise<void> {
    this.#mustBury = false;
    const gone = await this.#burials.bury(this.#parts.link, this.#served, this.#desired);
    if (gone.length > 0) {
      this.#served = { ...this.#served, backends: this.#served.backends.deleteAll(gone) };
      this.#parts.files.saveSoon(this.#served, this.#catalog);
    }
    if (!this.#burials.empty) this.#armBurial();
  }

  async #reload(): Promise<void> {
    const { files, quarantining } = this.#parts;
    const suspicion = this.#suspicion(this.#asked(), false);
    const target = suspicion.desired;
    const result = await this.#reloads.perform(target);
    if (result.kind === 'postponed') return;
    if (result.kind === 'refused') {
      this.#isolate(() => quarantining.isolate(result.checked, suspicion), result.checked.reason);
      return;
    }
    if (result.kind === 'failed') {
      this.#mustInspect = true;
      this.#isolate(
        async () => quarantining.holdNamed(result.reason, suspicion),
        result.mayHelpToWait ? undefined : result.reason,
      );
      return;
    }
    this.#worker = result.workerPid;
    // It still speaks with the old worker, which would take every command and serve none of it.
    this.#parts.link.close();
    this.#served = target;
    this.#burials.clear();
    if (this.#touched.empty) this.#progress.reached(target.revision);
    this.#mustInspect = true;
    files.saveSoon(this.#served, this.#catalog);
  }

  #asked(): Asked {
    return { catalog: this.#parts.guarding.served(this.#catalog), templates: this.#templates };
  }

  #suspicion(asked: Asked, cold: boolean): Suspicion {
    const { templating } = this.#parts.quarantining.withHeld(asked);
    return {
      asked,
      desired: withoutUnusedPolicies(templating, this.#parts.frame, this.#desired),
      served: this.#served,
      cold,
    };
  }

  /** What changed since it was refused is tried again. */
  #review(asked: Asked): void {
    const { services, all } = this.#parts.quarantining.review(asked);
    for (const name of services) this.#touched.service(name);
    if (!all) return;
    this.#mustRenderAll = true;
    this.#touchAll();
  }

  /** Finds and holds those for whom HAProxy refused a configuration, beside the rounds; `otherwise`: there is nobody. */
  #isolate(find: () => Promise<boolean>, otherwise: string | undefined): void {
    const revision = String(this.#desired.revision);
    this.#isolating = find()
      .catch((error: unknown) => {
        if (isStorageFault(error)) {
          this.#reloads.postpone(error);
          return undefined;
        }
        this.#parts.logger.error({ event: 'not-isolated', reason: describe(error) }, describe(error));
        return false;
      })
      .then((held) => {
        this.#isolating = undefined;
        if (held === true) this.#holdBack();
        else if (held === false && otherwise !== undefined) this.#reloads.refuse(otherwise, revision);
        this.#tellRefused();
        this.#settle();
        this.#wake();
      });
  }

  #tellRefused(): void {
    const { metrics, quarantining } = this.#parts;
    const whole = this.#reloads.refused === undefined && quarantining.refusedTemplate === undefined;
    metrics.reloadFailed.set(whole && this.#reloads.failed === undefined ? 0 : 1);
  }

  /** Has everything rendered and planned anew, for other things are held now. */
  #holdBack(): void {
    this.#reloads.planAnew();
    this.#desired = this.#parts.quarantining.withHeldInstances(this.#desired, this.#served);
    this.#mustRenderAll = true;
    this.#touchAll();
    this.#armProbe();
  }

  #armProbe(): void {
    const ms = this.#parts.quarantining.nextProbeMs();
    if (ms === undefined) return;
    this.#timers.arm('probe', ms, () => {
      this.#mustProbe = true;
      this.#wake();
    });
  }

  async #probe(): Promise<void> {
    this.#mustProbe = false;
    try {
      const names = await this.#parts.quarantining.probe(this.#suspicion(this.#asked(), false));
      for (const name of names) this.#touched.service(name);
    } catch (error) {
      // Which is told already. They are asked about the next time.
      if (!isStorageFault(error)) throw error;
    } finally {
      this.#armProbe();
    }
  }

  /** Reads what the worker really runs, corrects what we believe by it, and lets the next round heal the difference. */
  async #inspect(): Promise<void> {
    const { haproxy, link, metrics } = this.#parts;
    const processes = await haproxy.processes();
    if (processes?.workerPid === undefined) throw new Fault('haproxy-runtime', 'HAProxy has no worker now');
    metrics.oldWorkers.set(processes.oldWorkers);
    if (processes.workerPid !== this.#worker || !link.connected) {
      if (processes.workerPid !== this.#worker) this.#burials.clear();
      await link.connect(processes.workerPid, pause);
      this.#worker = processes.workerPid;
      // Whoever reloads while we do may have loaded a file that was replaced a moment later: look again when it is quiet.
      this.#armInspection(afterReplacementMs);
    }
    this.#mustInspect = false;
    await this.#parts.certificates?.serve(link);
    const { served, differences } = reconcile(this.#served, await link.inspect(), this.#burials.servers);
    if (differences.length === 0) return;
    this.#drift.found(differences);
    this.#parts.files.doubt();
    this.#served = served;
    this.#given = undefined;
    this.#touchAll();
  }

  /** Tells how far HAProxy serves. */
  #settle(): void {
    if (this.#given === undefined || this.#mustInspect || this.#exited || !this.#parts.link.connected) return;
    const { pending, obstacle } = this.#reloads;
    if (this.#isolating !== undefined || (pending.length > 0 && obstacle === undefined)) return;
    // What came in since and touched nothing is served as well.
    if (this.#touched.empty) {
      this.#given = this.#catalog;
      if (pending.length === 0) {
        this.#progress.reached(this.#catalog.revision);
        this.#parts.quarantining.proven(this.#asked());
      }
    }
    this.#tellRefused();
    const missing = [
      ...(obstacle === undefined ? [] : unserved(this.#desired, this.#served, obstacle)),
      ...this.#parts.quarantining.refusals,
      ...this.#rejections.unrendered,
    ];
    this.#parts.observer?.settled(this.#given, missing);
  }

  #armInspection(ms: number): void {
    this.#timers.arm('inspect', ms, () => {
      this.#mustInspect = true;
      this.#wake();
    });
  }

  async #patrol(): Promise<void> {
    this.#timers.arm('worker-patrol', workerPatrolMs, () => this.#patrol());
    const processes = await this.#parts.haproxy.processes();
    if (processes !== undefined) this.#parts.metrics.oldWorkers.set(processes.oldWorkers);
    if (!this.#timers.has('inspect')) this.#armInspection(inspectPatrolMs);
    if (this.#running !== undefined || processes?.workerPid === undefined || processes.workerPid === this.#worker)
      return;
    this.#parts.logger.info({ event: 'worker-replaced', pid: processes.workerPid }, 'somebody else reloaded HAProxy');
    this.#mustInspect = true;
    this.#wake();
  }

  /** Whether those that the guard holds still pass their checks. */
  async #observe(): Promise<void> {
    const { guarding, link } = this.#parts;
    if (!guarding.holding) return;
    this.#timers.arm('guard', guardPatrolMs, () => this.#observe());
    if (link.connected) guarding.observe(await link.inspect());
  }

  async #coldStart(lastGood: Rendered | undefined): Promise<void> {
    const { haproxy, files, logger, metrics } = this.#parts;
    const undo = await this.#placeFirst(lastGood).catch((error: unknown) => {
      // An older file is better than no HAProxy: what differs is healed at run time, and by a reload once it can be written.
      if (!isStorageFault(error) || lastGood === undefined) throw error;
      this.#served = lastGood;
      this.#reloads.need({ kind: 'start' });
      return async () => undefined;
    });
    const processes = await haproxy.start().catch(async (error: unknown) => {
      await undo();
      throw error;
    });
    await files.reloaded();
    metrics.haproxyStarts.inc();
    this.#worker = processes.workerPid;
    logger.info({ event: 'haproxy-started', pid: processes.masterPid, revision: String(this.#served.revision) });
    this.#mustInspect = true;
  }

  /** Puts the configuration in place that HAProxy is to be started with. Gives what puts back the one from before. */
  async #placeFirst(lastGood: Rendered | undefined): Promise<() => Promise<void>> {
    const { desired, checked } = await this.#checkedAlone();
    if (checked.ok) {
      const undo = await this.#parts.files.replace(desired, checked.config);
      this.#served = desired;
      return undo;
    }
    if (lastGood === undefined) throw new Fault('config-check', checked.reason);
    this.#served = lastGood;
    this.#reloads.need({ kind: 'start' });
    this.#reloads.refuse(`${checked.reason}; the last good one serves`, String(desired.revision));
    return async () => undefined;
  }

  /** What is desired, with those held for whom HAProxy refuses it. */
  async #checkedAlone(): Promise<{ desired: Rendered; checked: CheckedConfig }> {
    const { files, quarantining } = this.#parts;
    const asked = this.#asked();
    const suspicion = this.#suspicion(asked, true);
    const checked = await files.check(suspicion.desired);
    if (checked.ok || !(await quarantining.isolate(checked, suspicion))) return { desired: suspicion.desired, checked };
    this.#holdBack();
    this.#renderDesired(new Map(), asked);
    const { desired } = this.#suspicion(asked, true);
    return { desired, checked: await files.check(desired) };
  }

  /** Starts it without those that it loaded once and does not load any more: a file that they need may be gone. */
  async #startWithout(error: unknown): Promise<Processes> {
    const { haproxy, files } = this.#parts;
    const { desired, checked } = await this.#checkedAlone();
    if (!checked.ok) throw error;
    await files.replace(desired, checked.config);
    this.#served = desired;
    const processes = await haproxy.start();
    await files.reloaded();
    return processes;
  }

  async #startAgain(): Promise<void> {
    const { haproxy, logger, metrics } = this.#parts;
    this.#parts.link.close();
    this.#burials.clear();
    await this.#saveOrReadBack();
    const processes = await haproxy.start().catch((error: unknown) => this.#startWithout(error));
    metrics.haproxyStarts.inc();
    this.#exited = false;
    this.#worker = undefined;
    this.#mustInspect = true;
    logger.info({ event: 'haproxy-started', pid: processes.masterPid }, 'HAProxy serves again');
  }

  /** Has the file say what is to be served; where it cannot be written, what the file says is served at first. */
  async #saveOrReadBack(): Promise<void> {
    const { files } = this.#parts;
    try {
      await files.save(this.#served, this.#catalog);
    } catch (error) {
      const onDisk = isStorageFault(error) ? await files.readServed() : undefined;
      if (onDisk === undefined) throw error;
      this.#served = onDisk;
      this.#touchAll();
    }
  }

  /** Renders what is asked for, but for what is held. */
  #renderDesired(touched: Touched, asked: Asked): Catalog {
    const { metrics, frame, quarantining } = this.#parts;
    const { catalog, templating } = quarantining.withHeld(asked);
    let result: RenderResult;
    try {
      result = this.#mustRenderAll
        ? renderAll(templating, frame, this.#desired, catalog)
        : renderTouched(templating, frame, this.#desired, catalog, touched);
    } catch (error) {
      if (!(error instanceof Fault) || !quarantining.holdFrame(asked, this.#desired, error.toString())) throw error;
      this.#mustRenderAll = true;
      return this.#renderDesired(touched, asked);
    }
    const { rendered, problems, conflicts } = result;
    this.#desired = rendered;
    quarantining.rendered(this.#mustRenderAll ? undefined : touched, problems, asked.catalog);
    this.#mustRenderAll = false;
    this.#rejections.rendered(touched, problems, rendered.revision);
    if (conflicts !== undefined) this.#rejections.conflicting(conflicts);
    metrics.services.set(rendered.backends.size);
    return catalog;
  }

  #awaitReload(): void {
    const { dueInMs } = this.#reloads;
    if (dueInMs === undefined || this.#timers.has('retry')) return;
    // A timer may fire a fraction of a millisecond early by our clock, and then finds nothing due: it is armed anew.
    this.#timers.arm('reload', Math.max(1, Math.ceil(dueInMs)), () => this.#wake());
  }

  #touchAll(): void {
    const all: Touched = allTouched([...this.#served.backends.keys(), ...this.#catalog.services.keys()]);
    this.#touched.add(all);
    // No round follows where there is nothing to give.
    if (all.size === 0) this.#given = this.#catalog;
  }
}

/** When the registrations that were put here were written, by their own clocks. */
function writtenAt({ catalog, touched }: Folded): readonly number[] {
  return [...touched].flatMap(([name, { instances }]) => {
    const registered = catalog.services.get(name)?.registered;
    return [...instances].flatMap((id) => registered?.get(id)?.writtenAt ?? []);
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Fault ? error.code : undefined;
}
