import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { addressOf, type FirstCheckRule, isEnabled, isServing, type Newcomer } from '../../haproxy/newcomers.ts';
import { afterStep } from '../../haproxy/plan.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import { bringsIn, type Step } from '../../haproxy/step.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { describe } from '../../model/fault.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { withOwnCertificate } from '../../render/own-certificate.ts';
import type { Rendered } from '../../render/rendered.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import { withTimeLimit } from '../../waiting/time-limit.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import { askServer } from './ask-server.ts';
import { type ServerTarget, serverTarget, vouches } from './server-target.ts';
import { ServiceTurns } from './service-turns.ts';
import { firstCheckPassed, foundDown, type UnprovenServers } from './unproven-servers.ts';

export type FirstChecksParts = LogAndClock & {
  /** Has HAProxy send a server requests. Rejects when HAProxy does not take the command now. */
  readonly raise: (service: ServiceName, id: InstanceId) => Promise<void>;
  /** Whether HAProxy is loading a configuration. A command to the old worker may not reach the new one then. */
  readonly isLoading: () => boolean;
  /** The folder of the files that a policy's `tls` names. */
  readonly pemFolder: string;
  readonly unproven: UnprovenServers;
};

type Waiting = Newcomer & {
  readonly since: number;
  attempts: number;
  /** Whether the log says that a check failed. */
  logged: boolean;
  timer: NodeJS.Timeout | undefined;
};

const askedAtOnce = { most: 128, mostOfService: 16 };
/** The most instances of one service that wait. Further ones are left to HAProxy's checks. */
const mostWaiting = 1000;
const firstCheckWaived =
  'the instance gets requests without a check, because no other instance of its service is served';
const retry = { firstMs: 50, mostMs: 1000 };
const leastPatienceMs = 1000;
const mostTimeoutMs = 10_000;

/**
 * Makes the first checks of newcomers, which HAProxy gets as down. HAProxy itself checks such a server only after a whole interval, and
 * has no command to check sooner. So pointsman checks it, and has HAProxy send it requests when it passes. From then on, and for a
 * server that does not pass within its interval, HAProxy's own checks decide.
 */
export class FirstChecks {
  readonly #parts: FirstChecksParts;
  readonly #waiting = new Map<ServiceName, Map<InstanceId, Waiting>>();
  readonly #turns = new ServiceTurns(askedAtOnce);
  readonly #log: LimitedLog;
  readonly #closing = new AbortController();
  #catalog: Catalog = emptyCatalog;

  constructor(parts: FirstChecksParts) {
    this.#parts = parts;
    this.#log = new LimitedLog(parts.logger, parts.now, 'further-first-checks-left');
  }

  /** The rule for the catalog that was applied last. */
  get currentRule(): FirstCheckRule {
    return this.rule(this.#catalog);
  }

  /** Which servers of this catalog have to wait. */
  rule(catalog: Catalog): FirstCheckRule {
    return {
      unproven: (name, id) => {
        const service = catalog.services.get(name);
        return service !== undefined && !vouches(service, id);
      },
      waits: (name, id) => this.#waiting.get(name)?.has(id) === true,
    };
  }

  /**
   * To be called before HAProxy gets these steps. A check of a server's former address must not raise the server at its new address,
   * and a raise from now on comes after the steps. `onApplied` begins the checks that the steps make due. If no other server of a
   * service serves after the steps, the waiting ones get requests before them.
   */
  giving(steps: readonly Step[], served: Rendered, desired: Rendered): void {
    for (const step of steps) {
      if (!bringsIn(step)) continue;
      const service = step.backend as ServiceName;
      const id = step.server.name as InstanceId;
      if (this.#waiting.get(service)?.has(id) !== true) continue;
      this.#forget(service, id);
      this.#parts.unproven.leave(service, id, 'unasked');
    }
    const after = new Map<ServiceName, Rendered>();
    for (const step of steps) {
      if ('route' in step) continue;
      const service = step.backend as ServiceName;
      if (this.#waiting.has(service)) after.set(service, afterStep(after.get(service) ?? served, desired, step));
    }
    for (const [service, then] of after) this.#raiseAlone(service, then);
  }

  /**
   * To be called when HAProxy serves this, with these newcomers down. Servers that left are not checked any more. If no other server
   * of a service serves, the waiting ones get requests without a check.
   */
  onApplied(dirty: DirtySet, catalog: Catalog, served: Rendered, newcomers: readonly Newcomer[]): void {
    this.#catalog = catalog;
    this.begin(newcomers);
    for (const service of dirty.keys()) {
      const servers = served.backends.get(service)?.servers;
      this.#parts.unproven.keep(service, (id) => {
        const line = servers?.get(id);
        return line !== undefined && isEnabled(line);
      });
      const ofService = this.#waiting.get(service);
      if (ofService === undefined) continue;
      for (const waiting of ofService.values()) {
        if (!waitsStill(waiting, servers?.get(waiting.id))) this.#forget(service, waiting.id);
      }
      this.#raiseAlone(service, served);
    }
  }

  /** Sends the waiting servers of a service requests if none of its other servers serves. */
  #raiseAlone(service: ServiceName, { backends }: Rendered): void {
    const ofService = this.#waiting.get(service);
    const servers = backends.get(service)?.servers;
    if (ofService === undefined || servers?.every((line, id) => ofService.has(id) || !isServing(line)) !== true) return;
    for (const waiting of ofService.values()) {
      const line = servers.get(waiting.id);
      if (line !== undefined && isServing(line)) void this.#raise(waiting, 'alone');
    }
  }

  /** Begins the checks of these, which HAProxy has as down. */
  begin(newcomers: readonly Newcomer[]): void {
    for (const newcomer of newcomers) {
      const { service, id } = newcomer;
      this.#forget(service, id);
      this.#parts.unproven.add(service, id);
      const ofService = this.#waiting.get(service) ?? new Map<InstanceId, Waiting>();
      if (ofService.size >= mostWaiting) {
        this.#leave(newcomer, `${mostWaiting} instances of ${service} wait for a first check already`);
        continue;
      }
      this.#waiting.set(service, ofService);
      const waiting: Waiting = { ...newcomer, since: this.#parts.now(), attempts: 0, logged: false, timer: undefined };
      ofService.set(id, waiting);
      this.#turns.add(service, id, () => this.#attempt(waiting));
    }
  }

  /** To be called when HAProxy has served this before this process began, with these states. */
  adopt(served: Rendered, states: RunningState['servers']): void {
    this.#parts.unproven.adopt(foundDown(served, states));
  }

  close(): void {
    this.#closing.abort();
    this.#log.close();
    for (const ofService of this.#waiting.values()) for (const { timer } of ofService.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #forget(service: ServiceName, id: InstanceId): void {
    const ofService = this.#waiting.get(service);
    clearTimeout(ofService?.get(id)?.timer);
    ofService?.delete(id);
    this.#turns.drop(service, id);
    if (ofService?.size === 0) this.#waiting.delete(service);
  }

  /** Leaves a newcomer to HAProxy's own checks. */
  #leave({ service, id }: Newcomer, reason: string): void {
    this.#forget(service, id);
    this.#log.info(
      { event: 'first-check-left', key: instanceKey(service, id), reason },
      "the instance gets requests when one of HAProxy's checks passes",
    );
    this.#parts.unproven.leave(service, id, 'unasked');
  }

  #isCurrent(waiting: Waiting): boolean {
    return this.#waiting.get(waiting.service)?.get(waiting.id) === waiting;
  }

  async #attempt(waiting: Waiting): Promise<void> {
    const { service, id } = waiting;
    if (!this.#isCurrent(waiting)) return;
    const found = this.#catalog.services.get(service);
    const instance = found?.instances.get(id);
    const target = found && instance && serverTarget(withOwnCertificate(found), instance, this.#parts.pemFolder);
    if (target === undefined) {
      await this.#raise(waiting, 'unchecked');
      return;
    }
    if (target.place.tls?.authority?.kind === 'system') {
      this.#leave(waiting, 'only HAProxy knows which certificate authorities of the system it trusts');
      return;
    }
    waiting.attempts += 1;
    const reason = await this.#ask(target);
    if (!this.#isCurrent(waiting)) return;
    if (reason === undefined) await this.#raise(waiting, 'passed');
    else {
      this.#reportFailure(waiting, reason);
      const { intervalMs, timeoutMs = intervalMs, rise } = target.check;
      const patienceMs = Math.max(leastPatienceMs, intervalMs * rise + timeoutMs);
      if (this.#parts.now() - waiting.since > patienceMs) {
        this.#forget(service, id);
        this.#parts.unproven.leave(service, id, 'failed');
      } else this.#again(waiting, backoffMs(retry, waiting.attempts));
    }
  }

  /** Checks a server once. Returns why it did not pass; undefined when it did. */
  async #ask(target: ServerTarget): Promise<string | undefined> {
    const { intervalMs, timeoutMs = intervalMs } = target.check;
    const ms = Math.min(timeoutMs, mostTimeoutMs);
    try {
      await withTimeLimit(ms, this.#closing.signal, (limit) => askServer(target, limit));
      return undefined;
    } catch (error) {
      return describe(error);
    }
  }

  #reportFailure(waiting: Waiting, reason: string): void {
    if (waiting.logged || this.#closing.signal.aborted) return;
    waiting.logged = true;
    const { service, id } = waiting;
    this.#parts.logger.info(
      { event: 'first-check-failed', key: instanceKey(service, id), reason },
      'the instance gets requests when a check passes',
    );
  }

  async #raise(waiting: Waiting, why: 'passed' | 'alone' | 'unchecked'): Promise<void> {
    const { raise, isLoading, logger } = this.#parts;
    const { service, id } = waiting;
    try {
      await raise(service, id);
      if (!this.#isCurrent(waiting)) return;
      if (!isLoading()) {
        this.#forget(service, id);
        this.#parts.unproven.drop(service, id);
        const key = instanceKey(service, id);
        if (waiting.logged && why === 'passed') logger.info({ event: 'first-check-passed', key }, firstCheckPassed);
        if (waiting.logged && why === 'alone') logger.info({ event: 'first-check-waived', key }, firstCheckWaived);
        return;
      }
    } catch (error) {
      // HAProxy is about to be replaced, and the new worker has the server as down, too.
      logger.debug({ event: 'first-check-untold', key: instanceKey(service, id), reason: describe(error) });
    }
    this.#again(waiting, retry.firstMs);
  }

  #again(waiting: Waiting, ms: number): void {
    if (this.#closing.signal.aborted || !this.#isCurrent(waiting)) return;
    clearTimeout(waiting.timer);
    waiting.timer = setTimeout(() => this.#turns.add(waiting.service, waiting.id, () => this.#attempt(waiting)), ms);
  }
}

const waitsStill = ({ line }: Waiting, now: string | undefined): boolean =>
  now !== undefined && isEnabled(now) && addressOf(now) === addressOf(line);
