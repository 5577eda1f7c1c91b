import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import { afterStep } from '../../haproxy/plan.ts';
import type { ReloadReason } from '../../haproxy/reload-reason.ts';
import { type RunningState, reconcile } from '../../haproxy/running-state.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { formatServerLine } from '../../haproxy/server-line.ts';
import { describeStep, type Step } from '../../haproxy/step.ts';
import { Fault } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import type { FirstChecks } from '../first-check/first-checks.ts';
import { DriftLog } from '../observe/drift-log.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import type { OldWorkers } from '../reload/old-workers.ts';
import type { PassingOn } from '../reload/passing-on.ts';
import type { ServerStates } from '../reload/server-states.ts';
import { PendingRemovals } from './pending-removals.ts';

type RunningParts = {
  readonly haproxy: Haproxy;
  readonly link: RuntimeLink;
  readonly passingOn: PassingOn;
  readonly firstChecks: Pick<FirstChecks, 'adopt'>;
  readonly states: Pick<ServerStates, 'found'>;
  /** Files that the worker has to be given beside the rounds; nobody waits for it. */
  readonly lookAtFiles?: (() => void) | undefined;
  readonly oldWorkers: OldWorkers;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** How many servers that left may stay in an HAProxy that cannot delete them, until a reload is due; each takes a few kB. */
const mostRetired = 1000;
/** A service with more of them gets no further servers before that reload, which may have to wait for its turn. */
const mostRetiredOfService = 2000;

/** What HAProxy runs, as far as its answers tell. */
export class Running {
  readonly #parts: RunningParts;
  readonly pendingRemovals: PendingRemovals;
  readonly drift: DriftLog;
  #served: Rendered = nothingRendered;
  #worker: number | undefined;
  #foreign = false;
  /** Whether the worker is from before this pointsman, and was not looked at yet. */
  #adopted = false;
  readonly #added = new Set<string>();

  constructor(parts: RunningParts) {
    this.#parts = parts;
    this.pendingRemovals = new PendingRemovals(parts.metrics);
    this.drift = new DriftLog(parts);
  }

  get served(): Rendered {
    return this.#served;
  }

  /** The worker that serves; undefined while it is not known. */
  get worker(): number | undefined {
    return this.#worker;
  }

  /** The servers, as `backend/server`, that the worker was given by command since this pointsman speaks with it, and still has. */
  get addedAtRunTime(): ReadonlySet<string> {
    return this.#added;
  }

  /** Whether somebody else's reload made the worker that serves. */
  get foreign(): boolean {
    return this.#foreign;
  }

  /** HAProxy runs this from before. */
  adopt(served: Rendered): void {
    this.#served = served;
    this.#adopted = true;
  }

  /** HAProxy was given this, or runs it from before. */
  assume(served: Rendered): void {
    this.#served = served;
  }

  /** Another worker serves. */
  replaced(worker: number | undefined): void {
    this.#worker = worker;
    this.#foreign = false;
    this.#added.clear();
  }

  /** Gives it these commands. What it refuses of them needs a reload: the answer says why. */
  async execute(steps: readonly Step[], desired: Rendered): Promise<readonly ReloadReason[]> {
    this.#adoptRoutes(desired.routes);
    if (steps.length === 0) return [];
    const { link, metrics, logger } = this.#parts;
    const outcomes = await link.execute(steps);
    const refused: ReloadReason[] = [];
    for (const [i, step] of steps.entries()) {
      const outcome = outcomes[i];
      if (outcome === undefined) continue;
      metrics.steps.inc({ kind: step.kind, outcome: outcome.kind });
      logger.debug({ event: 'step', step: describeStep(step), outcome: outcome.kind });
      if (outcome.kind === 'refused') {
        const { command, answer } = outcome;
        const of = 'backend' in step ? { backend: step.backend as ServiceName } : {};
        refused.push({ kind: 'refused', ...of, command, answer });
        continue;
      }
      if (step.kind === 'add-server') this.#added.add(`${step.backend}/${step.server.name}`);
      if ('name' in step && outcome.kind !== 'lingers') this.#added.delete(`${step.backend}/${step.name}`);
      if (step.kind === 'revive-server') this.pendingRemovals.revive(`${step.backend}/${step.server.name}`);
      if (outcome.kind === 'lingers' && 'name' in step) this.#removeServerLater(step.backend, step.name);
      this.#served = afterStep(this.#served, desired, step);
    }
    this.#adoptRoutes(desired.routes);
    return refused;
  }

  /** The same value where both have the same routes: then no later plan has to compare them one by one. */
  #adoptRoutes(desired: Rendered['routes']): void {
    const { routes } = this.#served;
    if (routes !== desired && routes.equals(desired)) this.#served = { ...this.#served, routes: desired };
  }

  #removeServerLater(backend: string, name: string): void {
    const line = this.#served.backends.get(backend as ServiceName)?.servers.get(name as InstanceId);
    if (line !== undefined) this.pendingRemovals.addServer(`${backend}/${name}`, line);
  }

  /** Has backends that nothing needs any more deleted, where HAProxy can; elsewhere they end with the next reload. */
  removeLater(names: Iterable<ServiceName>, desired: Rendered): void {
    const { addBackend, deletes } = this.#parts.link.abilities;
    if (!addBackend || !deletes) return;
    for (const name of names) {
      if (!desired.backends.has(name) && this.#served.backends.has(name)) this.pendingRemovals.addBackend(name);
    }
  }

  /** Whether there is something that can be deleted later. */
  get hasPendingRemovals(): boolean {
    return this.#parts.link.abilities.deletes && !this.pendingRemovals.empty;
  }

  /** Why servers that left need a reload, where HAProxy cannot delete them; undefined when they do not. */
  get tooManyRetired(): ReloadReason | undefined {
    if (this.#parts.link.abilities.deletes || this.pendingRemovals.servers.size <= mostRetired) return undefined;
    let left = this.pendingRemovals.servers.size;
    const services: ServiceName[] = [];
    for (const [service, count] of [...this.pendingRemovals.perService()].sort(([, a], [, b]) => b - a)) {
      if (left <= mostRetired) break;
      services.push(service);
      left -= count;
    }
    return { kind: 'retired', more: mostRetired, services };
  }

  /** Why a service gets no further servers before a reload: too many of its servers that left are there. */
  fullRule(): (service: ServiceName) => ReloadReason | undefined {
    if (this.#parts.link.abilities.deletes || this.pendingRemovals.servers.size <= mostRetiredOfService)
      return () => undefined;
    const counts = this.pendingRemovals.perService();
    const reason = this.tooManyRetired;
    return (service) => ((counts.get(service) ?? 0) > mostRetiredOfService ? reason : undefined);
  }

  /** Deletes what can be by now. Whether a backend was among it. */
  async removePending(desired: Rendered): Promise<boolean> {
    const gone = await this.pendingRemovals.remove(this.#parts.link, this.#served, desired);
    if (gone.length > 0) this.#served = { ...this.#served, backends: this.#served.backends.deleteAll(gone) };
    return gone.length > 0;
  }

  /** Speaks with the worker that serves now. Whether that is another one, or a new connection to it. */
  async meet(): Promise<boolean> {
    const { haproxy, link, oldWorkers, passingOn } = this.#parts;
    const processes = await haproxy.processes();
    if (processes?.workerPid === undefined) throw new Fault('haproxy-runtime', 'HAProxy has no worker now');
    oldWorkers.seen(processes);
    if (processes.workerPid === this.#worker && link.connected) return false;
    if (processes.workerPid !== this.#worker) {
      this.pendingRemovals.clear();
      this.#added.clear();
    }
    await link.connect(processes.workerPid, pause);
    void passingOn.passOn(processes);
    if (this.#worker !== undefined && processes.workerPid !== this.#worker) this.#foreign = true;
    this.#worker = processes.workerPid;
    return true;
  }

  /** An earlier pointsman left servers in maintenance that it could not delete. */
  #adoptRetired({ servers }: RunningState): void {
    for (const [name, backend] of this.#served.backends) {
      for (const [id, server] of servers.get(name) ?? []) {
        const at = `${name}/${id}`;
        if (!server.disabled || backend.servers.has(id as InstanceId) || this.pendingRemovals.servers.has(at)) continue;
        this.pendingRemovals.addServer(at, formatServerLine({ ...server, name: id, check: false, keywords: '' }));
      }
    }
  }

  /** Reads what the worker really runs, and corrects what we believe by it. Whether that was something else. */
  async readBack(): Promise<boolean> {
    const { link, lookAtFiles, firstChecks, states } = this.#parts;
    lookAtFiles?.();
    const running = await link.inspect();
    states.found(running.servers);
    if (!link.abilities.deletes) this.#adoptRetired(running);
    const { served, differences } = reconcile(this.#served, running, this.pendingRemovals.servers);
    if (this.#adopted) firstChecks.adopt(served, running.servers);
    this.#adopted = false;
    if (differences.length === 0) return false;
    this.drift.found(differences);
    this.#served = served;
    return true;
  }
}
