import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import { noRightHint } from '../../haproxy/bind-probe.ts';
import type { Haproxy, Processes } from '../../haproxy/haproxy.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { ServerStates } from '../reload/server-states.ts';
import type { StateFiles } from '../state/state-files.ts';
import { isStorageFault } from '../state/storage.ts';
import type { CheckedConfig } from '../state/validation.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';

type StartingParts = {
  readonly haproxy: Haproxy;
  readonly files: StateFiles;
  readonly states: ServerStates;
  readonly quarantining: Quarantining;
  readonly openFiles: OpenFilesLimit;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  readonly rendering: Rendering;
  readonly running: Running;
  readonly reloads: Reloads;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  /** Has everything rendered and planned anew, for other things are held now. */
  readonly renderAnew: () => void;
  /** Has everything planned anew, for HAProxy is started on something else than was served. */
  readonly markAllDirty: () => void;
};

const inUseHint = 'end what listens there (ss -ltnp shows it), or choose another address with --http or --https';

/** Has HAProxy serve from nothing: for the first time, or after it ended. */
export class Starting {
  readonly #parts: StartingParts;

  constructor(parts: StartingParts) {
    this.#parts = parts;
  }

  /** On what is rendered, or on what an earlier run had put on disk. Rejects with a Fault when neither can be served. */
  async cold(lastGood: Rendered | undefined, catalog: Catalog): Promise<void> {
    const { haproxy, files, states, logger, metrics, running, reloads, rendering, openFiles } = this.#parts;
    // An earlier run may have left some, which are of a worker that is gone.
    await states.forget();
    const undo = await this.#placeFirst(lastGood, catalog).catch((error: unknown) => {
      // An older file is better than no HAProxy: what differs is healed at run time, and by a reload once it can be written.
      if (!isStorageFault(error) || lastGood === undefined) throw error;
      running.assume(lastGood);
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

  /** Starts it without the instances that it has too few open files for. Undefined where that is not why it did not start. */
  async #startWithFewer(error: unknown, catalog: Catalog): Promise<Processes | undefined> {
    const { haproxy, files, rendering, running } = this.#parts;
    if (!this.#leaveOut(error, catalog)) return undefined;
    const { desired } = rendering.build(rendering.requested(catalog), running.served, true);
    const checked = await files.check(desired);
    if (!checked.ok) return undefined;
    const undo = await files.replace(desired, checked.config);
    const before = running.served;
    running.assume(desired);
    return haproxy.start().catch(async () => {
      running.assume(before);
      await undo();
      return undefined;
    });
  }

  /** Renders without the instances that HAProxy has too few open files for. Whether there are any for whom it did not start. */
  #leaveOut(error: unknown, catalog: Catalog): boolean {
    const { rendering, running, openFiles } = this.#parts;
    if (!openFiles.failed(describe(error), rendering.requested(catalog).catalog)) return false;
    const moved = rendering.moved(catalog);
    rendering.render(moved, rendering.requested(catalog), running.served);
    return true;
  }

  /**
   * The check took the configuration, and HAProxy did not start on it. A frame that changed since it last worked is held;
   * where that is not it, what an earlier run had put on disk is served.
   */
  async #startOnOlder(error: unknown, lastGood: Rendered | undefined, catalog: Catalog): Promise<Processes> {
    const { haproxy, files, quarantining, rendering, running, reloads, renderAnew, signal } = this.#parts;
    // Another configuration would want the same address, and one that nobody waits for any more is not tried at all.
    if (!(error instanceof Fault) || error.code !== 'haproxy-start' || signal?.aborted) throw error;
    const refused = rendering.desired;
    const reason = error.toString();
    const requested = rendering.requested(catalog);
    if (quarantining.quarantineFrame(requested, refused, reason)) {
      renderAnew();
      rendering.render(new Map(), requested, running.served);
      const { desired } = rendering.build(requested, running.served, true);
      const checked = await files.check(desired);
      if (checked.ok) {
        const undo = await files.replace(desired, checked.config);
        running.assume(desired);
        try {
          return await haproxy.start();
        } catch {
          await undo();
        }
      }
    }
    if (lastGood === undefined) throw error;
    running.assume(lastGood);
    const processes = await haproxy.start().catch(() => Promise.reject(error));
    reloads.need({ kind: 'start' });
    reloads.refuse(`${reason}; the last good one serves`, String(refused.revision));
    return processes;
  }

  /** On what it served before it ended. */
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

  /** Puts the configuration in place that HAProxy is to be started with. Gives what puts back the one from before. */
  async #placeFirst(lastGood: Rendered | undefined, catalog: Catalog): Promise<() => Promise<void>> {
    const { files, running, reloads } = this.#parts;
    const { desired, checked } = await this.#checkedAlone(catalog);
    if (checked.ok) {
      const undo = await files.replace(desired, checked.config);
      running.assume(desired);
      return undo;
    }
    if (checked.mayPass === 'address') {
      const hint = /permission denied/i.test(checked.reason) ? noRightHint : inUseHint;
      throw new Fault('address-in-use', checked.reason, { hint });
    }
    if (lastGood === undefined) throw new Fault('config-check', checked.reason);
    running.assume(lastGood);
    reloads.need({ kind: 'start' });
    reloads.refuse(`${checked.reason}; the last good one serves`, String(desired.revision));
    return async () => undefined;
  }

  /** What is desired, with those held for whom HAProxy refuses it. */
  async #checkedAlone(catalog: Catalog): Promise<{ desired: Rendered; checked: CheckedConfig }> {
    const { files, quarantining, rendering, running, renderAnew } = this.#parts;
    const requested = rendering.requested(catalog);
    const build = rendering.build(requested, running.served, true);
    const checked = await files.check(build.desired);
    const isolated =
      checked.ok ||
      (await quarantining.bisect(checked, build)) ||
      // The port of a service, for example, may be in use, which its last good form needs as well.
      (checked.mayPass !== 'deadline' && (await quarantining.bisect(checked, { ...build, leaveOut: true })));
    if (checked.ok || !isolated) return { desired: build.desired, checked };
    renderAnew();
    rendering.render(new Map(), requested, running.served);
    const { desired } = rendering.build(requested, running.served, true);
    return { desired, checked: await files.check(desired) };
  }

  /** Starts it without those that it loaded once and does not load any more: a file that they need may be gone. */
  async #startWithout(error: unknown, catalog: Catalog): Promise<Processes> {
    const { haproxy, files, running } = this.#parts;
    this.#renderNewest(catalog);
    this.#leaveOut(error, catalog);
    const { desired, checked } = await this.#checkedAlone(catalog);
    if (!checked.ok) throw error;
    const undo = await files.replace(desired, checked.config);
    const before = running.served;
    running.assume(desired);
    return haproxy.start().catch(async (again: unknown) => {
      // The next attempt begins with what could serve once.
      running.assume(before);
      await undo();
      throw again;
    });
  }

  /** What was rendered last may be older than what is asked for now, if HAProxy ended before a round. */
  #renderNewest(catalog: Catalog): void {
    const { rendering, running, renderAnew } = this.#parts;
    const requested = rendering.requested(catalog);
    rendering.review(requested);
    renderAnew();
    rendering.render(new Map(), requested, running.served);
  }

  /** Has the file say what is to be served; where it cannot be written, what the file says is served at first. */
  async #saveOrReadBack(catalog: Catalog): Promise<void> {
    const { files, running, markAllDirty } = this.#parts;
    try {
      await files.save(running.served, catalog);
    } catch (error) {
      const onDisk = isStorageFault(error) ? await files.readServed() : undefined;
      if (onDisk === undefined) throw error;
      running.assume(onDisk);
      markAllDirty();
    }
  }
}
