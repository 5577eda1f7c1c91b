import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Users } from '../../addresses/names.ts';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import type { CatalogLimits } from '../../catalog/limits.ts';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { OverrideTarget } from '../../model/override.ts';
import type { RegistryEvent } from '../../registry/registry.ts';
import type { Templates } from '../../render/render.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import type { Section } from '../../render/template.ts';
import type { FrameSettings } from '../../render/view.ts';
import { addressesGiven } from '../addresses/addresses-given.ts';
import type { Locating } from '../addresses/locating.ts';
import { ownListeners } from '../addresses/own-listeners.ts';
import type { FirstChecks } from '../first-check/first-checks.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import { Progress } from '../observe/progress.ts';
import type { ServingObserver } from '../observe/serving-observer.ts';
import type { TroublePart, Troubles } from '../observe/troubles.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { Overriding } from '../overrides/overriding.ts';
import type { EffectiveCatalog } from '../pipeline/effective-catalog.ts';
import { Bisection } from '../quarantine/bisection.ts';
import type { RefusedBuild } from '../quarantine/candidates.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { Loaded } from '../reload/load-config.ts';
import { OldWorkers } from '../reload/old-workers.ts';
import type { PassingOn } from '../reload/passing-on.ts';
import type { ServicePace } from '../reload/reload-budget.ts';
import { ReloadPacing } from '../reload/reload-pacing.ts';
import { loadedBy, Reloads, slowMs } from '../reload/reloads.ts';
import type { ServerStates } from '../reload/server-states.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Storage } from '../state/storage.ts';
import type { BalancerStatus } from './balancer-status.ts';
import { ConfigDrift } from './config-drift.ts';
import type { Ending } from './ending.ts';
import { Intake } from './intake.ts';
import { Loop, type Task } from './loop.ts';
import { type CheckedHolder, PeriodicChecks } from './periodic-checks.ts';
import { Reconciler } from './reconciler.ts';
import { Rejections } from './rejections.ts';
import { Reloading } from './reloading.ts';
import { Rendering } from './rendering.ts';
import { Reuse } from './reuse.ts';
import { Running } from './running.ts';
import { Starting } from './starting.ts';
import { Timers } from './timers.ts';

export type BalancerParts = {
  readonly templates: Templates;
  readonly frame: FrameSettings;
  readonly haproxy: Haproxy;
  readonly link: RuntimeLink;
  readonly files: StateFiles;
  readonly states: ServerStates;
  readonly passingOn: PassingOn;
  readonly firstChecks: FirstChecks;
  readonly quarantining: Quarantining;
  readonly guarding: Guarding;
  readonly locating: Locating;
  readonly openFiles: OpenFilesLimit;
  /** What is held of the registry itself; undefined where nothing is. */
  readonly held?: CheckedHolder | undefined;
  readonly overriding: Overriding;
  readonly limits: CatalogLimits;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  readonly reloadIntervalMs: number;
  /** How often the changes of one service may need a reload. */
  readonly servicePace: ServicePace;
  /** Workers of earlier reloads; more are ended. */
  readonly mostOldWorkers: number;
  /** See Reuse. */
  readonly reuseIntervalMs: number | undefined;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  readonly storage: Pick<Storage, 'status'>;
  readonly troubles: Troubles;
  /** Looks whether the worker has the files that it is given beside the rounds. */
  readonly lookAtFiles?: (() => void) | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
};

const removalDelayMs = 500;
/** How long a start waits for the addresses of names, in ms. Instances whose names come later are added at run time. */
const firstNamesMs = 1000;
/** How long what is under way may take when the balancer stops, in ms. */
const windDownMs = 5000;
const mostListed = 1000;
// Longer than a search for whom HAProxy refuses.
const longWaitMs = 15_000;
const partOfTask: Readonly<Record<string, TroublePart>> = {
  start: 'haproxy',
  inspect: 'inspection',
  round: 'rounds',
  removePending: 'burial',
  'begin-reload': 'reload',
};

/**
 * Joins what keeps HAProxy true to the registry, and decides what is done next. What arrives while a round is under way is
 * folded and goes into the next one; that is all the batching there is.
 */
export class Balancer {
  readonly #parts: BalancerParts;
  readonly #progress: Progress;
  readonly #pacing: ReloadPacing;
  readonly #reloads: Reloads;
  readonly #oldWorkers: OldWorkers;
  readonly #reloading: Reloading;
  readonly #rejections: Rejections;
  readonly #rendering: Rendering;
  readonly #running: Running;
  readonly #intake: Intake;
  readonly #reconciler: Reconciler;
  readonly #starting: Starting;
  readonly #bisection: Bisection;
  readonly #periodicChecks: PeriodicChecks;
  readonly #configDrift: ConfigDrift;
  readonly #reuse: Reuse;
  #serving = false;
  #publishesAfterTurn = false;
  #exited = false;
  /** How often it has ended: it may end again while it is being started. */
  #exits = 0;
  #mustInspect = false;
  #mustRemovePending = false;
  #preloaded: Catalog = emptyCatalog;
  #mustProbe: 'due' | 'all' | undefined;
  #observer: ServingObserver | undefined;
  #listening: Section | undefined;
  readonly #timers: Timers;
  readonly #loop: Loop;
  /** Goes on with the changes of services that have very many. */
  readonly #finish: Task;

  constructor(parts: BalancerParts) {
    this.#parts = parts;
    this.#progress = new Progress(parts);
    this.#rejections = new Rejections(parts);
    this.#pacing = new ReloadPacing({
      ...parts,
      pace: parts.servicePace,
      // So that half of them are left when each has had its time.
      crowdedMs: (2 * parts.frame.hardStopAfterMs) / Math.max(1, parts.mostOldWorkers),
    });
    this.#reloads = new Reloads({ ...parts, pacing: this.#pacing, intervalMs: parts.reloadIntervalMs });
    this.#oldWorkers = new OldWorkers({
      ...parts,
      most: parts.mostOldWorkers,
      onCrowded: (crowded) => this.#pacing.crowded(crowded),
    });
    this.#timers = new Timers((task, error) => {
      parts.logger.warn({ event: 'patrol-failed', task, reason: describe(error) }, describe(error));
      this.lookSoon();
    });
    this.#rendering = new Rendering({ ...parts, rejections: this.#rejections });
    this.#running = new Running({ ...parts, oldWorkers: this.#oldWorkers });
    this.#intake = new Intake({ ...parts, rejections: this.#rejections, progress: this.#progress });
    this.#reloading = new Reloading({
      reloads: this.#reloads,
      served: () => this.#running.served,
      desired: () => this.#rendering.desired,
      mayLoad: () => !this.#exited,
      onEnd: () => this.#loop.hurry(),
    });
    const shared = {
      ...parts,
      intake: this.#intake,
      rendering: this.#rendering,
      running: this.#running,
      reloads: this.#reloads,
      oldWorkers: this.#oldWorkers,
      reloading: this.#reloading,
      rejections: this.#rejections,
      progress: this.#progress,
    };
    this.#reconciler = new Reconciler({ ...shared, othersDue: () => this.#loop.isDueBeside(this.#finish) });
    this.#starting = new Starting({
      ...shared,
      renderAnew: () => this.#renderAnew(),
      markAllDirty: () => this.#reconciler.markAllDirty(),
    });
    this.#bisection = new Bisection({ ...shared, onEnd: (held) => this.#onBisected(held) });
    this.#periodicChecks = new PeriodicChecks({
      ...shared,
      holders: [parts.guarding, ...(parts.held === undefined ? [] : [parts.held])],
      timers: this.#timers,
      busy: () => this.#loop.turning !== undefined || this.#reloading.loading,
      inspect: () => this.lookSoon(),
      onEdited: (edited) => this.#edited(edited),
      onSilent: (reason) => this.#silent(reason),
      onAnswer: () => this.#answersAgain(),
    });
    this.#reuse = new Reuse({ ...shared, timers: this.#timers, wake: () => this.#loop.wake() });
    this.#configDrift = new ConfigDrift({ ...shared, timers: this.#timers, wake: () => this.#loop.wake() });
    this.#finish = {
      name: 'round',
      yields: true,
      due: () => this.#reconciler.unfinished && this.#canSpeak(),
      run: this.#connected(() => this.#round()),
    };
    this.#loop = new Loop({
      tasks: [...this.#tasks(), this.#finish],
      timers: this.#timers,
      onFailure: (error, task) => this.#failed(error, task),
      onDone: (succeeded) => {
        this.#lookAtListeners();
        this.#publish();
        this.#review(succeeded);
      },
      dueInMs: () => (this.#nothingBeside() ? this.#reloads.dueInMs : undefined),
    });
  }

  /**
   * A check, a reload and a search for whom HAProxy refuses may take half a minute. They are begun here and go on beside the
   * loop, one at a time.
   */
  #tasks(): readonly Task[] {
    const connected = (run: () => Promise<void>) => this.#connected(run);
    const canSpeak = () => this.#canSpeak();
    return [
      // Before a start: HAProxy is started on what it loaded last, and that is what it is known to serve then.
      { name: 'reload', due: () => this.#reloading.ended, run: async () => this.#reloaded() },
      { name: 'start', due: () => this.#exited && !this.#reloads.loading, run: () => this.#startAgain() },
      { name: 'inspect', due: () => this.#mustInspect && !this.#reloading.loading, run: () => this.#inspect() },
      {
        name: 'round',
        yields: true,
        due: () => !this.#intake.dirty.empty && canSpeak(),
        run: connected(() => this.#round()),
      },
      { name: 'bury', due: () => this.#mustRemovePending && canSpeak(), run: connected(() => this.#removePending()) },
      {
        name: 'begin-reload',
        due: () => this.#reloads.dueInMs === 0 && this.#nothingBeside(),
        run: connected(async () => this.#reload()),
      },
      {
        name: 'probe',
        due: () => this.#mustProbe !== undefined && this.#nothingBeside(),
        run: connected(async () => this.#probe()),
      },
    ];
  }

  #connected(run: () => Promise<void>): () => Promise<void> {
    return () => (this.#parts.link.connected ? run() : this.#inspect());
  }

  /** While HAProxy loads a configuration, the worker that serves is spoken with for as long as the connection lasts. */
  #canSpeak(): boolean {
    return this.#parts.link.connected || !this.#reloading.loading;
  }

  #nothingBeside(): boolean {
    return this.#bisection.ongoing === undefined && !this.#reloading.busy;
  }

  #failed(error: unknown, task: string): boolean {
    this.#mustInspect = true;
    this.#reconciler.doubt();
    // A check that was ended with pointsman, for example.
    if (this.#parts.signal?.aborted) {
      this.#parts.logger.debug({ event: 'round-ended', reason: describe(error) }, describe(error));
      return false;
    }
    // It failed because HAProxy ended, which is told already and is what to do next.
    if (this.#exited && task !== 'start') return false;
    // The worker was just replaced, most likely. The new one is given it.
    if (this.#reloading.loading) {
      this.#parts.logger.debug({ event: 'round-ended', reason: describe(error) }, describe(error));
      return true;
    }
    const part = partOfTask[task];
    if (part !== undefined) this.#parts.troubles.failed(part, describe(error));
    const code = error instanceof Fault ? error.code : undefined;
    this.#parts.logger.error({ event: 'round-failed', reason: describe(error), code }, describe(error));
    return true;
  }

  /** No instance may be where HAProxy itself listens. */
  #lookAtListeners(): void {
    const { frame } = this.#running.served;
    if (frame === this.#listening) return;
    this.#listening = frame;
    this.#parts.locating.listening(ownListeners(frame.before + frame.after));
  }

  /** Brings the list of troubles up to date, after a task that did not fail or at any other time. */
  #review(succeeded: string | undefined): void {
    const { haproxy, troubles, quarantining, storage, openFiles } = this.#parts;
    const wanted: Readonly<Record<string, boolean>> = {
      start: this.#exited,
      inspect: this.#mustInspect,
      round: !this.#intake.dirty.empty || this.#reconciler.unfinished,
      removePending: this.#mustRemovePending,
    };
    for (const [task, part] of Object.entries(partOfTask)) {
      if (task === 'begin-reload') continue;
      if ((task === succeeded && part !== 'haproxy') || wanted[task] !== true) troubles.over(part);
    }
    const { obstacle, pending, dueInMs, paced } = this.#reloads;
    // One that is tried again has not worked yet.
    if (obstacle !== undefined || pending.length === 0) troubles.is('reload', obstacle);
    troubles.is('reload-pace', this.#pacing.trouble(paced));
    troubles.is('check-pace', this.#rendering.checkTrouble);
    troubles.is('old-workers', this.#oldWorkers.trouble);
    troubles.is('template', quarantining.refusedTemplate);
    troubles.is('haproxy-version', haproxy.versionDiffers);
    troubles.is('open-files', openFiles.trouble);
    troubles.is('acknowledgement', this.#observer?.trouble);
    const [unsaved] = storage.status();
    troubles.is('storage', unsaved && `the ${unsaved.what}: ${unsaved.reason}`);
    const isDue = pending.length === 0 || dueInMs === 0;
    const waits = this.#serving && isDue && this.#progress.waitingMs > longWaitMs;
    troubles.is('waiting', waits ? `for ${Math.round(this.#progress.waitingMs / 1000)} s` : undefined);
  }

  status(): BalancerStatus {
    this.#review(undefined);
    return {
      troubles: this.#parts.troubles.status(),
      revisionSeen: this.#intake.catalog.revision,
      revisionApplied: this.#progress.applied,
      serving: this.#serving && !this.#exited && this.#periodicChecks.answering,
      catalog: this.#intake.catalog,
      rejected: this.#rejections.list(this.#intake.catalog, mostListed),
      rejections: this.#rejections,
      conflicts: this.#rejections.conflicts,
      served: this.#running.served,
      desired: this.#rendering.desired,
      lingering: this.#running.pendingRemovals.servers,
      pending: this.#reloads.pending,
      paced: this.#reloads.paced,
      refused: this.#reloads.refused ?? this.#parts.quarantining.refusedTemplate,
      quarantined: this.#parts.quarantining.status(),
      drift: this.#running.drift.status(),
    };
  }

  get effective(): EffectiveCatalog {
    return this.#rendering.effective(this.#intake.catalog);
  }

  /** Takes what the registry said. Folding is immediate; applying follows in the next round. */
  offer(event: RegistryEvent): void {
    this.#onFolded(this.#intake.offer(event));
  }

  /** The time of these overrides is up. */
  endOverrides(targets: readonly OverrideTarget[]): void {
    this.#onFolded(this.#intake.endOverrides(targets));
  }

  #onFolded(dirty: boolean): void {
    const { turning } = this.#loop;
    if (!dirty && turning === undefined) this.#publish();
    // What comes in after the last task of a turn was settled is not settled by it.
    else if (!dirty && !this.#publishesAfterTurn) {
      this.#publishesAfterTurn = true;
      void turning?.finally(() => {
        this.#publishesAfterTurn = false;
        this.#publish();
      });
    }
    this.#loop.wake();
  }

  /** Has somebody told what HAProxy serves, from now on. */
  observe(observer: ServingObserver): void {
    this.#observer = observer;
    this.#reconciler.observe(observer);
  }

  /** Replaces the empty catalog by one from disk, before anything is served. */
  preload(catalog: Catalog): void {
    this.#intake.adopt(catalog);
    this.#preloaded = this.#intake.catalog;
  }

  /**
   * Brings HAProxy up on the catalog as it is now, or takes over one that still runs from before. Rejects with a Fault
   * when neither the new configuration nor the last good one can be served.
   */
  async start(): Promise<void> {
    const { haproxy, files, logger, quarantining, guarding, locating, openFiles } = this.#parts;
    this.#intake.dirty.take();
    openFiles.may(await haproxy.openFilesLimit());
    const lastGood = await files.readServed();
    const known = lastGood && addressesGiven(this.#preloaded, lastGood);
    locating.adopt(guarding.served(this.#intake.catalog), known);
    await locating.resolved(firstNamesMs);
    await quarantining.load(this.#preloaded);
    const before = lastGood ?? nothingRendered;
    this.#rendering.begin(before);
    this.#rendering.render(new Map(), this.#rendering.requested(this.#intake.catalog), before);
    const running = await haproxy.findRunning(lastGood !== undefined);
    if (running?.workerPid !== undefined && lastGood !== undefined) {
      logger.info({ event: 'haproxy-adopted', pid: running.masterPid }, 'taking over the HAProxy that runs already');
      this.#running.adopt(lastGood);
      openFiles.may(await haproxy.openFilesLimit());
      if (await files.wasReloading()) this.#reloads.need({ kind: 'start' });
    } else {
      if (running !== undefined) await haproxy.stop(0);
      await this.#starting.cold(lastGood, this.#intake.catalog);
    }
    this.#lookAtListeners();
    this.#mustInspect = true;
    this.#serving = true;
    files.beQuick();
    this.#armProbe();
    this.#reconciler.markAllDirty();
    this.#periodicChecks.begin();
    this.#loop.begin();
    // Not until all is quiet, which a busy registry never is.
    await Promise.race([this.#loop.turning, this.#reconciler.first]);
  }

  /**
   * Ends the loop and writes what is served. Then HAProxy stops after its open requests (at most `graceMs`), or is left for
   * a successor.
   */
  async stop(graceMs: number, ending: Ending = 'stop'): Promise<void> {
    const { haproxy, link } = this.#parts;
    this.#timers.close();
    this.#parts.firstChecks.close();
    this.#pacing.close();
    // HAProxy's end cannot wait for a reload that hangs: a supervisor kills what does not end.
    await Promise.race([this.#windDown(), pause(windDownMs, undefined, { ref: false })]);
    link.close();
    if (ending === 'leave') haproxy.leave();
    else await haproxy.stop(graceMs);
  }

  async #windDown(): Promise<void> {
    await this.#loop.end();
    await this.#reloading.ongoing;
    // The loop would have taken note of a reload that ends only now. What is on disk must be what it loaded.
    const ended = this.#reloading.take();
    const loaded = ended && loadedBy(ended.result);
    if (loaded !== undefined) {
      this.#running.assume(loaded.loaded);
      this.#reconciler.saveSoon();
    }
    await this.#bisection.ongoing;
    await this.#parts.quarantining.save(this.#intake.catalog);
    await this.#parts.states.close();
    await this.#parts.files.flush();
  }

  /** Renders with other templates from now on. What HAProxy refuses of it changes nothing. */
  useTemplates(templates: Templates): void {
    this.#rendering.useTemplates(templates);
    this.#parts.files.useTemplates(templates);
    this.#reconciler.markAllDirty();
    this.#loop.wake();
  }

  /** These instances are reached elsewhere than before, or not any more. */
  relocated(users: Users): void {
    for (const [service, ids] of users) for (const id of ids) this.#intake.dirty.instance(service, id);
    this.#loop.wake();
  }

  /** Something else than the registry decided about this instance: look at it anew. */
  markDirty(service: ServiceName, id: InstanceId): void {
    const { guarding, locating } = this.#parts;
    const instance = guarding.served(this.#intake.catalog).services.get(service)?.instances.get(id);
    if (instance === undefined) locating.differs(service, id);
    else locating.place(instance);
    this.#intake.dirty.instance(service, id);
    this.#periodicChecks.watchHolders();
    this.#loop.wake();
  }

  /** Something else is held than before: watch it, and have it written. */
  onHeldChanged(): void {
    this.#periodicChecks.watchHolders();
    // Before it serves there is nothing to write, and its first round does.
    if (this.#serving) this.#reconciler.saveSoon();
  }

  /** Whether this worker is the one that serves. The one that serves is looked at if not. */
  async isCurrent(workerPid: number): Promise<boolean> {
    const processes = await this.#parts.haproxy.processes();
    if (processes?.workerPid === workerPid) return true;
    this.lookSoon();
    return false;
  }

  /** Something beside the registry changed: see that HAProxy has it. */
  lookSoon(): void {
    this.#mustInspect = true;
    this.#loop.wake();
  }

  /** A file beside the configuration changed, which may be what HAProxy refused somebody for. */
  fileChanged(): void {
    if (this.#parts.quarantining.status().length > 0) this.#mustProbe = 'all';
    this.lookSoon();
  }

  /** HAProxy has to read a file anew that it cannot be given while it runs. */
  reloadFor(file: string): void {
    this.#reloads.need({ kind: 'file', file });
    this.#reloads.tryAgain();
    this.#loop.wake();
  }

  /** HAProxy was found to run something else than it was given, which is healed. */
  drifted(differences: readonly string[]): void {
    this.#running.drift.found(differences);
  }

  /** What HAProxy serves, as far as its answers tell. */
  get served(): Rendered {
    return this.#running.served;
  }

  /** Whether HAProxy was told to load a configuration, and may be replacing its worker. */
  get loading(): boolean {
    return this.#reloading.loading;
  }

  /** HAProxy ended by itself. */
  haproxyExited(reason: string): void {
    this.#parts.troubles.failed('haproxy', reason);
    this.#parts.logger.error({ event: 'haproxy-exited', reason }, 'HAProxy ended; starting it again');
    this.#exited = true;
    this.#exits += 1;
    this.#parts.link.close();
    this.#loop.hurry();
  }

  /** No worker answers, although none is known to have ended: it may be stopped, or stuck, or somebody else's. */
  #silent(reason: string): void {
    if (this.#exited) return;
    this.#parts.logger.error({ event: 'haproxy-silent', reason }, `HAProxy does not answer: ${reason}`);
    this.#parts.troubles.failed('inspection', reason);
    // What waits for an answer fails now, and begins with a new connection.
    this.#parts.link.close();
    this.lookSoon();
  }

  #answersAgain(): void {
    this.#parts.logger.info({ event: 'haproxy-answers' }, 'HAProxy answers again');
    this.#mustInspect = true;
    this.#loop.hurry();
  }

  /** The runtime connection broke: the worker was replaced or is gone. */
  runtimeLost(reason: string): void {
    this.#parts.logger.info({ event: 'runtime-lost', reason }, 'connection to HAProxy lost');
    this.lookSoon();
  }

  async #round(): Promise<void> {
    await this.#reconciler.reconcile();
    this.#reuse.changed();
    if (this.#running.hasPendingRemovals && !this.#timers.has('graveyard')) this.#armRemoval();
    if (this.#parts.quarantining.hasCandidates) this.#armProbe();
  }

  #armRemoval(): void {
    this.#timers.arm('graveyard', removalDelayMs, () => {
      this.#mustRemovePending = true;
      this.#loop.wake();
    });
  }

  async #removePending(): Promise<void> {
    this.#mustRemovePending = false;
    if (await this.#running.removePending(this.#rendering.desired)) this.#reconciler.saveSoon();
    if (this.#running.hasPendingRemovals) this.#armRemoval();
  }

  #reload(): void {
    // What is loaded is then what is asked for, no more and no less.
    if (!this.#intake.dirty.empty) return;
    this.#reloading.begin({ build: this.#build(), quarantine: this.#parts.quarantining.state });
    // Whoever waits for something else is told then that it is served.
    this.#timers.arm('slow-reload', slowMs, () => this.#publish());
  }

  #reloaded(): void {
    const ended = this.#reloading.take();
    if (ended === undefined) return;
    const { result, build, quarantine, meanwhile } = ended;
    if (result.kind === 'postponed') return;
    if (result.kind !== 'reloaded') {
      if (result.kind === 'failed') this.#mustInspect = true;
      const restored = loadedBy(result);
      if (restored !== undefined) this.#loaded(restored, meanwhile);
      if (result.kind === 'failed' && this.#parts.openFiles.failed(result.reason, build.requested.catalog)) {
        // The next reload leaves out the instances that there is no room for, and may succeed.
        this.#reloads.planAnew();
        this.#reconciler.markAllDirty();
        return;
      }
      this.#bisection.begin(result, build);
      return;
    }
    this.#oldWorkers.replaced(this.#running.worker, result.services);
    this.#loaded(result, meanwhile);
    this.#parts.quarantining.proven(build.requested, quarantine);
    this.#parts.openFiles.loaded(build.requested.catalog);
    if (this.#intake.dirty.empty) this.#progress.reached(build.desired.revision);
  }

  /** A reload of ours made another worker. */
  #loaded({ workerPid, loaded }: Loaded, meanwhile: DirtySet): void {
    this.#running.replaced(workerPid);
    // It still speaks with the old worker, which would take every command and serve none of it.
    this.#parts.link.close();
    this.#running.assume(loaded);
    this.#running.pendingRemovals.clear();
    // The new worker was not given what the old one was.
    this.#intake.dirty.add(meanwhile);
    this.#mustInspect = true;
    this.#reconciler.saveSoon();
  }

  async #startAgain(): Promise<void> {
    this.#parts.link.close();
    this.#running.pendingRemovals.clear();
    const exits = this.#exits;
    await this.#starting.again(this.#intake.catalog);
    this.#mustInspect = true;
    if (this.#exits !== exits) return;
    this.#periodicChecks.answered();
    this.#exited = false;
  }

  #build(): RefusedBuild {
    return this.#rendering.build(this.#rendering.requested(this.#intake.catalog), this.#running.served, false);
  }

  #onBisected(held: boolean): void {
    if (held) this.#renderAnew();
    this.#bisection.measure();
    this.#publish();
    this.#loop.wake();
  }

  /** Has everything rendered and planned anew, for other things are held now. */
  #renderAnew(): void {
    this.#reloads.planAnew();
    this.#rendering.renderAnew(this.#running.served);
    this.#reconciler.markAllDirty();
    this.#armProbe();
  }

  #armProbe(): void {
    const ms = this.#parts.quarantining.nextProbeMs();
    if (ms === undefined) return;
    this.#timers.arm('probe', ms, () => {
      this.#mustProbe ??= 'due';
      this.#loop.wake();
    });
  }

  #probe(): void {
    const all = this.#mustProbe === 'all';
    this.#mustProbe = undefined;
    const { troubles } = this.#parts;
    this.#bisection.probe(this.#build(), { all }, (names, failure) => {
      for (const name of names) this.#intake.dirty.service(name);
      if (failure === undefined) troubles.over('probe');
      else troubles.failed('probe', describe(failure));
      this.#armProbe();
      this.#publish();
      this.#loop.wake();
    });
  }

  /** Has the files written as they should be, and the worker looked at: it may have been loaded from them. */
  #edited(files: readonly string[]): void {
    this.drifted(files.map((file) => `somebody else changed ${file}`));
    this.#parts.files.doubt();
    this.#reconciler.saveSoon();
    this.lookSoon();
  }

  /** Reads what the worker really runs, and lets the next round heal the difference. */
  async #inspect(): Promise<void> {
    if (await this.#running.meet()) this.#met();
    // The worker is replaced meanwhile, and then looked at.
    if (this.#reloading.loading) return;
    this.#configDrift.look();
    this.#mustInspect = false;
    const differs = await this.#running.readBack();
    if (differs) {
      this.#parts.files.doubt();
      this.#reconciler.doubt();
    }
    // After a task that failed, too, only a round can tell that HAProxy was given all.
    if (differs || (this.#reconciler.doubted && this.#intake.dirty.empty)) this.#reconciler.markAllDirty();
  }

  #met(): void {
    const { openFiles, link } = this.#parts;
    this.#periodicChecks.lookAgain();
    openFiles.met(link.limits);
    // Others may be left out than before.
    this.#intake.dirty.add(this.#rendering.moved(this.#intake.catalog));
  }

  /** Tells how far HAProxy serves. */
  #publish(): void {
    if (this.#mustInspect || this.#exited) return;
    // Mostly it takes a moment, and then all is served.
    const { obstacle, slow } = this.#reloads;
    if (this.#bisection.ongoing !== undefined && obstacle === undefined && slow === undefined) return;
    this.#reconciler.withdraw();
    if (this.#reconciler.publish()) this.#bisection.measure();
  }
}
