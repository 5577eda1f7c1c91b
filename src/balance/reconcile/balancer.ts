import { setTimeout as pause } from 'node:timers/promises';
import type { Users } from '../../addresses/names.ts';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { OverrideTarget } from '../../model/override.ts';
import type { RegistryEvent } from '../../registry/registry.ts';
import { certifiedIn } from '../../render/certificate-keys.ts';
import { leavingTemplates } from '../../render/leaving-templates.ts';
import type { Templates } from '../../render/render.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import type { Section } from '../../render/template.ts';
import { addressesGiven, ownListeners } from '../addresses/configured-addresses.ts';
import type { ServingObserver } from '../observe/serving-observer.ts';
import type { TroublePart } from '../observe/troubles.ts';
import type { EffectiveCatalog } from '../pipeline/effective-catalog.ts';
import { statusOf } from '../quarantine/quarantine-status.ts';
import { loadedBy } from '../reload/reloads.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Ending } from './ending.ts';
import type { ProcessWatch } from './process-watch.ts';
import { wireReconciling } from './wire-reconciling.ts';

export type BalancerStatus = Readonly<ReturnType<Balancer['status']>>;

/** How long a start waits for the addresses of names, in ms. Instances whose names resolve later are added at run time. */
const firstNamesMs = 1000;
/** How long `stop` waits for a reload or a check that goes on, in ms. */
const windDownMs = 5000;
const mostListed = 1000;

/**
 * Keeps HAProxy in step with the registry. Events that arrive during a round are folded and go into the next one; that is all the batching
 * there is.
 */
export class Balancer {
  readonly #parts: BalancerParts;
  readonly #own: ReturnType<typeof wireReconciling>;
  #serving = false;
  #leaving = false;
  #preloaded: Catalog = emptyCatalog;
  /** The base configuration whose listeners `locating` knows. */
  #listening: Section | undefined;

  constructor(parts: BalancerParts) {
    this.#parts = parts;
    this.#own = wireReconciling(parts);
  }

  /** Whether HAProxy runs. Callers report here what they notice of HAProxy. */
  get watch(): ProcessWatch {
    return this.#own.watch;
  }

  /** For the health of the balancer and its queries. */
  status() {
    this.#own.review(this.#serving);
    const { intake, progress, rejections, running, rendering, reloads, periodicChecks, watch } = this.#own;
    const { troubles, quarantining } = this.#parts;
    return {
      /** The parts of the balancer that fail now. */
      troubles: troubles.status(),
      /** The state of a balancer, for its health and its queries. */
      revisionSeen: intake.catalog.revision,
      revisionApplied: progress.applied,
      /** Whether HAProxy serves, perhaps an older state. */
      serving: this.#serving && !watch.exited && periodicChecks.answering,
      catalog: intake.catalog,
      /** The first thousand unserved entries. */
      rejected: rejections.list(intake.catalog, mostListed),
      rejections,
      conflicts: rejections.conflicts,
      served: running.served,
      desired: rendering.desired,
      /** Servers that left and that HAProxy still has, by `service/instance`. */
      pendingRemovals: running.pendingRemovals.servers,
      /** Why a reload waits, one clause each; empty when all is applied. */
      pending: reloads.pending,
      /** Services without reload budget, each with the reason. */
      paced: reloads.paced,
      /** Why HAProxy refused the newest base configuration or template; an older one is in use. */
      refused: reloads.refused ?? quarantining.refusedTemplate,
      /** The services, instances and templates that HAProxy refuses. */
      quarantined: statusOf(quarantining.state),
      /** Undefined when there was no drift lately. */
      drift: running.drift.status(),
    };
  }

  /** What a service manager is told about; cheaper than the whole status. */
  servingState() {
    this.#own.review(this.#serving);
    return { baseWaits: this.#own.reloads.needsForBase, troubles: this.#parts.troubles.status() };
  }

  get effective(): EffectiveCatalog {
    return this.#own.rendering.effective(this.#own.intake.catalog);
  }

  /** What a plan for changes that nobody has made begins with: values, and the conditions of this moment. */
  planBasis() {
    const { intake, rendering, running, reloads, reloading, reconciler, rejections } = this.#own;
    return {
      catalog: intake.catalog,
      /** Whether a round has ended, so that `desired` and `served` are of a catalog of the registry. */
      known: !reconciler.doubted,
      templates: rendering.templates,
      desired: rendering.desired,
      served: running.served,
      pendingRemovals: running.pendingRemovals.servers,
      conflicts: rejections.conflicts,
      /** Why a reload waits already, one clause each. */
      pending: reloads.pending,
      /** Whether HAProxy validates or loads a configuration now. */
      reloading: reloading.busy,
      conditions: (catalog: Catalog) => reconciler.conditions(catalog),
    };
  }

  /** Folds an event of the registry at once. The next round applies it. */
  offer(event: RegistryEvent): void {
    this.#own.publishing.onFolded(this.#own.intake.offer(event));
  }

  /** HAProxy serves certificates with these names (`shop.example.com`, `*.example.com`) now: redirects that wait for one follow. */
  certify(names: ReadonlySet<string>): void {
    this.#own.publishing.onFolded(this.#own.intake.certify(names));
  }

  /** The time of these overrides is up. */
  endOverrides(targets: readonly OverrideTarget[]): void {
    this.#own.publishing.onFolded(this.#own.intake.endOverrides(targets));
  }
  observe(observer: ServingObserver): void {
    this.#own.reconciler.observer = observer;
  }

  /** Replaces the empty catalog by one from disk, before `start`. */
  preload(catalog: Catalog): void {
    this.#own.intake.adopt(catalog);
    this.#preloaded = this.#own.intake.catalog;
  }

  /**
   * Has HAProxy serve the catalog, or takes over an HAProxy that still runs. Rejects with a Fault when HAProxy can serve neither the new
   * configuration nor the last good one.
   */
  async start(): Promise<void> {
    const { haproxy, files, logger, quarantining, guarding, locating, openFiles, baseSettings } = this.#parts;
    const { intake, rendering, running, reloads, reconciler, starting, bisection, periodicChecks, watch, loop } =
      this.#own;
    intake.dirty.take();
    openFiles.may(await haproxy.openFilesLimit());
    const lastGood = await files.config.read();
    const known = lastGood && addressesGiven(this.#preloaded, lastGood);
    locating.adopt(guarding.guarded(intake.catalog), known);
    await locating.lookups.resolved(firstNamesMs);
    await quarantining.load(this.#preloaded);
    const before = lastGood ?? nothingRendered;
    if (intake.catalog.certified.isEmpty()) intake.certify(new Set(certifiedIn(before.routes, baseSettings)));
    rendering.begin(before);
    rendering.render(new Map(), rendering.requested(intake.catalog), before);
    const found = await haproxy.findRunning(lastGood !== undefined);
    if (found?.workerPid !== undefined && lastGood !== undefined) {
      logger.info({ event: 'haproxy-adopted', pid: found.masterPid }, 'pointsman takes over the running HAProxy');
      running.adopt(lastGood);
      this.#own.rotation.adopt();
      openFiles.may(await haproxy.openFilesLimit());
      if (await files.config.wasReloading()) reloads.need({ kind: 'start' });
    } else {
      if (found !== undefined) await haproxy.stop(0);
      await starting.cold(lastGood, intake.catalog);
    }
    this.#lookAtListeners();
    watch.mustInspect = true;
    this.#serving = true;
    files.disk.beQuick();
    bisection.armRetry();
    reconciler.markAllDirty();
    periodicChecks.begin();
    loop.begin({ ...this.#own.tasks, onDone: (succeeded) => this.#onTaskDone(succeeded?.part) });
    // A busy registry keeps the loop turning for ever. The first round is enough.
    await Promise.race([loop.turning, reconciler.first]);
  }

  #onTaskDone(succeeded: TroublePart | undefined): void {
    this.#lookAtListeners();
    this.#own.publishing.publish();
    this.#own.review(this.#serving, succeeded);
  }

  /** No instance may have an address where HAProxy itself listens. */
  #lookAtListeners(): void {
    const { base } = this.#own.running.served;
    if (base === this.#listening) return;
    this.#listening = base;
    this.#parts.locating.listening(ownListeners(base.before + base.after));
  }

  /**
   * Ends the loop and writes what is served. Then HAProxy stops after its open requests (at most `graceMs`), or is left for
   * a successor.
   */
  async stop(graceMs: number, ending: Ending = 'stop'): Promise<void> {
    const { haproxy, link, firstChecks } = this.#parts;
    this.#own.timers.close();
    firstChecks.close();
    this.#own.pacing.close();
    // HAProxy's end cannot wait for a reload that hangs: a supervisor kills a process that takes too long.
    await Promise.race([this.#windDown(), pause(windDownMs, undefined, { ref: false })]);
    link.close();
    if (ending === 'leave') haproxy.leave();
    else await haproxy.stop(graceMs);
  }

  async #windDown(): Promise<void> {
    const { loop, reloading, running, reconciler, bisection, intake } = this.#own;
    await loop.end();
    await reloading.ongoing;
    // The loop takes no result any more. HAProxy may have loaded a configuration, which has to be on disk.
    const ended = reloading.take();
    const loaded = ended && loadedBy(ended.result);
    if (loaded !== undefined) {
      running.served = loaded.loaded;
      reconciler.saveSoon();
    }
    await bisection.ongoing;
    await this.#parts.quarantining.save(intake.catalog);
    await this.#parts.states.close();
    await this.#parts.files.flush();
  }

  get templates(): Templates {
    return this.#own.rendering.templates;
  }

  /** Renders with other templates from now on. A template that HAProxy refuses changes nothing. */
  useTemplates(given: Templates): void {
    const { rendering, reconciler, loop } = this.#own;
    const templates = this.#leaving ? leavingTemplates(given) : given;
    rendering.useTemplates(templates);
    this.#parts.files.validation.templates = templates;
    reconciler.markAllDirty();
    loop.wake();
  }

  /**
   * Has HAProxy ask its clients to close their connections, while it goes on serving: by a reload. The worker of before the reload asks
   * its clients as after each reload, and the new one asks with each answer.
   */
  leave(): void {
    this.#leaving = true;
    this.useTemplates(this.templates);
  }

  /** These instances have another address than before, or none. */
  relocated(users: Users): void {
    for (const [service, ids] of users) for (const id of ids) this.#own.intake.dirty.instance(service, id);
    this.#own.loop.wake();
  }

  /** The guard keeps this instance from now on, or releases it. */
  onGuardChanged(service: ServiceName, id: InstanceId): void {
    const { guarding, locating } = this.#parts;
    const { intake, periodicChecks, loop } = this.#own;
    const instance = guarding.guarded(intake.catalog).services.get(service)?.instances.get(id);
    if (instance === undefined) locating.differs(service, id);
    else locating.place(instance);
    intake.dirty.instance(service, id);
    periodicChecks.watchHolders();
    loop.wake();
  }

  /** HAProxy sends this service's servers requests that it did not send before, or not any more, without a round. */
  onServerTurned(to: 'up' | 'down', service: ServiceName): void {
    if (to === 'up') this.#own.rotation.joined(service);
    else this.#own.rotation.left(service);
  }

  /** An instance is ejected since, or gets requests again. */
  onEjectionChanged(service: ServiceName, id: InstanceId): void {
    const { intake, loop } = this.#own;
    intake.dirty.instance(service, id);
    loop.wake();
  }

  /** The held entries of the registry changed. Has them watched and saved. */
  onHeldChanged(): void {
    this.#own.periodicChecks.watchHolders();
    // Before `start` there is nothing to save. The first round saves.
    if (this.#serving) this.#own.reconciler.saveSoon();
  }

  /** A file changed that HAProxy reads and pointsman does not write. HAProxy may have refused services because of it. */
  fileChanged(): void {
    this.#own.bisection.retryAll();
    this.#own.watch.inspectSoon();
  }

  /** HAProxy verifies with other users or keys than before. Others learn which services let nobody in. */
  secretsServed(): void {
    this.#own.publishing.onFolded(false);
  }

  /** Has HAProxy reloaded, to read a file that it cannot read again without a reload. */
  reloadFor(file: string): void {
    const { reloads, loop } = this.#own;
    reloads.need({ kind: 'file', file });
    reloads.tryAgain();
    loop.wake();
  }

  /** HAProxy had other certificates than pointsman gave it. */
  drifted(differences: readonly string[]): void {
    this.#own.running.drift.found(differences);
  }
  get served(): Rendered {
    return this.#own.running.served;
  }

  /** Whether HAProxy loads a configuration and may replace its worker. */
  get loading(): boolean {
    return this.#own.reloading.loading;
  }
}
