import type { Catalog } from '../../catalog/catalog.ts';
import { noRightHint } from '../../haproxy/bind-probe.ts';
import type { Processes } from '../../haproxy/haproxy.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { Requested } from '../quarantine/quarantine.ts';
import type { Reloads } from '../reload/reloads.ts';
import { isStorageFault } from '../state/storage.ts';
import type { CheckedConfig } from '../state/validation.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';

type StartingParts = Pick<
  BalancerParts,
  'haproxy' | 'files' | 'states' | 'quarantining' | 'openFiles' | 'logger' | 'signal'
> & {
  readonly metrics: Pick<ReconcileMetrics, 'haproxyStarts'>;
  readonly rendering: Rendering;
  readonly running: Running;
  readonly reloads: Reloads;
  /** Has everything rendered and planned again, because the quarantine changed. */
  readonly renderAll: () => void;
  /** Has everything planned again, because HAProxy starts on another state than it served. */
  readonly markAllDirty: () => void;
};

const inUseHint = 'end what listens there (ss -ltnp shows it), or choose another address with --http or --https';

/** Starts HAProxy: for the first time, or after it ended. */
export class Starting {
  readonly #parts: StartingParts;

  constructor(parts: StartingParts) {
    this.#parts = parts;
  }

  /** Starts HAProxy on the desired state, or on the last good one on disk. Rejects with a Fault when it accepts neither. */
  async cold(lastGood: Rendered | undefined, catalog: Catalog): Promise<void> {
    const { haproxy, files, states, logger, metrics, running, reloads, rendering, openFiles } = this.#parts;
    // The states that an earlier run left are of a worker that has ended.
    await states.forget();
    const undo = await this.#placeFirst(lastGood, catalog).catch((error: unknown) => {
      // HAProxy starts on the older file. Commands repair the difference, and a reload once the disk accepts the new file.
      if (!isStorageFault(error) || lastGood === undefined) throw error;
      running.served = lastGood;
      reloads.need({ kind: 'start' });
      return async () => undefined;
    });
    const processes = await haproxy.start().catch(async (error: unknown) => {
      await undo();
      return (await this.#startWithFewer(error, catalog)) ?? this.#startOnOlder(error, lastGood, catalog);
    });
    openFiles.loaded(reloads.needs('start') ? undefined : rendering.requested(catalog).catalog);
    await files.reloaded();
    metrics.haproxyStarts.inc();
    running.replaced(processes.workerPid);
    logger.info({ event: 'haproxy-started', pid: processes.masterPid, revision: String(running.served.revision) });
  }

  /** Starts HAProxy without the instances that it has no open files for. Undefined if it did not start for another reason. */
  async #startWithFewer(error: unknown, catalog: Catalog): Promise<Processes | undefined> {
    const { files, rendering, running } = this.#parts;
    if (!this.#leaveOut(error, catalog)) return undefined;
    const { desired } = rendering.build(rendering.requested(catalog), running.served, true);
    const checked = await files.check(desired);
    if (!checked.ok) return undefined;
    return (await this.#startOn(desired, checked.config)).processes;
  }

  /** Renders without the instances that HAProxy has no open files for. False if HAProxy did not start for another reason. */
  #leaveOut(error: unknown, catalog: Catalog): boolean {
    const { rendering, running, openFiles } = this.#parts;
    if (!openFiles.failed(describe(error), rendering.requested(catalog).catalog)) return false;
    const changed = rendering.openFilesChanged(catalog);
    rendering.render(changed, rendering.requested(catalog), running.served);
    return true;
  }

  /**
   * HAProxy validated the configuration and did not start on it. Quarantines a base configuration that changed since HAProxy last
   * accepted it; otherwise HAProxy starts on the last good configuration on disk.
   */
  async #startOnOlder(error: unknown, lastGood: Rendered | undefined, catalog: Catalog): Promise<Processes> {
    const { haproxy, files, quarantining, rendering, running, reloads, signal } = this.#parts;
    // Another configuration needs the same address. When pointsman is to end, no other configuration is tried.
    if (!(error instanceof Fault) || error.code !== 'haproxy-start' || signal?.aborted) throw error;
    const refused = rendering.desired;
    const reason = error.toString();
    const requested = rendering.requested(catalog);
    if (quarantining.quarantineFrame(requested, refused, reason)) {
      const desired = this.#renderAgain(requested);
      const checked = await files.check(desired);
      const { processes = undefined } = checked.ok ? await this.#startOn(desired, checked.config) : {};
      if (processes !== undefined) return processes;
    }
    if (lastGood === undefined) throw error;
    running.served = lastGood;
    const processes = await haproxy.start().catch(() => Promise.reject(error));
    reloads.need({ kind: 'start' });
    reloads.refuse(`${reason}; the last good one is in use`, String(refused.revision));
    return processes;
  }

  /** Starts HAProxy on the state that it served before it ended. */
  async again(catalog: Catalog): Promise<void> {
    const { haproxy, files, states, logger, metrics, running } = this.#parts;
    await this.#saveOrReadBack(catalog);
    await states.handAgain(running.served);
    const processes = await haproxy
      .start()
      .catch((error: unknown) => this.#startWithout(error, catalog))
      .finally(() => states.settled());
    await files.reloaded();
    metrics.haproxyStarts.inc();
    running.replaced(undefined);
    logger.info({ event: 'haproxy-started', pid: processes.masterPid }, 'HAProxy serves again');
  }

  /** Writes the configuration that HAProxy is to start on. Returns a function that restores the former one. */
  async #placeFirst(lastGood: Rendered | undefined, catalog: Catalog): Promise<() => Promise<void>> {
    const { files, running, reloads } = this.#parts;
    const { desired, checked } = await this.#checkedAlone(catalog);
    if (checked.ok) {
      const undo = await files.replace(desired, checked.config);
      running.served = desired;
      return undo;
    }
    if (checked.mayPass === 'address') {
      const hint = /permission denied/i.test(checked.reason) ? noRightHint : inUseHint;
      throw new Fault('address-in-use', checked.reason, { hint });
    }
    if (lastGood === undefined) throw new Fault('config-check', checked.reason);
    running.served = lastGood;
    reloads.need({ kind: 'start' });
    reloads.refuse(`${checked.reason}; the last good one is in use`, String(desired.revision));
    return async () => undefined;
  }

  /** Validates the desired state. If HAProxy refuses it, quarantines the offenders and validates the rest. */
  async #checkedAlone(catalog: Catalog): Promise<{ desired: Rendered; checked: CheckedConfig }> {
    const { files, quarantining, rendering, running } = this.#parts;
    const requested = rendering.requested(catalog);
    const build = rendering.build(requested, running.served, true);
    const checked = await files.check(build.desired);
    const found =
      checked.ok ||
      (await quarantining.bisect(checked, build)) ||
      // The last good form of an offender may be refused, too: it may need the same port, which is in use.
      (checked.mayPass !== 'deadline' && (await quarantining.bisect(checked, { ...build, leaveOut: true })));
    if (checked.ok || !found) return { desired: build.desired, checked };
    const desired = this.#renderAgain(requested);
    return { desired, checked: await files.check(desired) };
  }

  /** Starts HAProxy without the services that it once loaded and now refuses: a file that they need may be missing. */
  async #startWithout(error: unknown, catalog: Catalog): Promise<Processes> {
    const { rendering } = this.#parts;
    // HAProxy may have ended before a round rendered the newest catalog.
    const requested = rendering.requested(catalog);
    rendering.review(requested);
    this.#renderAgain(requested);
    this.#leaveOut(error, catalog);
    const { desired, checked } = await this.#checkedAlone(catalog);
    if (!checked.ok) throw error;
    const { processes, error: again } = await this.#startOn(desired, checked.config);
    // The next attempt begins with the state that HAProxy once served.
    if (processes === undefined) throw again;
    return processes;
  }

  /** Starts HAProxy on this. If it does not start, restores the former state. Rejects with Fault `storage`. */
  async #startOn(desired: Rendered, config: string): Promise<{ processes?: Processes; error?: unknown }> {
    const { haproxy, files, running } = this.#parts;
    const undo = await files.replace(desired, config);
    const before = running.served;
    running.served = desired;
    try {
      return { processes: await haproxy.start() };
    } catch (error) {
      running.served = before;
      await undo();
      return { error };
    }
  }

  /** Renders everything again, and returns the state that HAProxy is to start on. */
  #renderAgain(requested: Requested): Rendered {
    const { rendering, running, renderAll } = this.#parts;
    renderAll();
    rendering.render(new Map(), requested, running.served);
    return rendering.build(requested, running.served, true).desired;
  }

  /** Writes the served state to disk. If the disk refuses it, HAProxy starts on the state that the disk has. */
  async #saveOrReadBack(catalog: Catalog): Promise<void> {
    const { files, running, markAllDirty } = this.#parts;
    try {
      await files.save(running.served, catalog);
    } catch (error) {
      const onDisk = isStorageFault(error) ? await files.config.read() : undefined;
      if (onDisk === undefined) throw error;
      running.served = onDisk;
      markAllDirty();
    }
  }
}
