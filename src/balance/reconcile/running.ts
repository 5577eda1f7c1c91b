import { setTimeout as pause } from 'node:timers/promises';
import { afterStep } from '../../haproxy/plan.ts';
import type { ReloadReason } from '../../haproxy/reload-reason.ts';
import { type RunningState, reconcile } from '../../haproxy/running-state.ts';
import { formatServerLine } from '../../haproxy/server-line.ts';
import { describeStep, type Step } from '../../haproxy/step.ts';
import { Fault } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import type { OldWorkers } from '../reload/old-workers.ts';
import type { BalancerParts } from './balancer-parts.ts';
import { DriftLog } from './drift-log.ts';
import type { PendingRemovals } from './pending-removals.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';
import type { Rotation } from './rotation.ts';

type RunningParts = Pick<
  BalancerParts,
  'haproxy' | 'link' | 'firstChecks' | 'states' | 'lookAtFiles' | 'logger' | 'now'
> & {
  readonly pendingRemovals: PendingRemovals;
  readonly oldWorkers: OldWorkers;
  readonly rotation: Pick<Rotation, 'onStep'>;
  readonly metrics: Pick<ReconcileMetrics, 'steps' | 'drift'>;
};

/** The served state: what HAProxy runs, as its answers tell. */
export class Running {
  readonly #parts: RunningParts;
  readonly pendingRemovals: PendingRemovals;
  readonly drift: DriftLog;
  served: Rendered = nothingRendered;
  /** The pid of the worker that serves; undefined while it is not known. */
  worker: number | undefined;
  /** Whether somebody else's reload made the worker that serves. */
  foreign = false;
  /** The servers, as `backend/server`, that this pointsman added to the worker by command. */
  readonly addedAtRunTime = new Set<string>();
  /** Whether an earlier pointsman started the worker, and this one has not read its state yet. */
  #adopted = false;

  constructor(parts: RunningParts) {
    this.#parts = parts;
    this.pendingRemovals = parts.pendingRemovals;
    this.drift = new DriftLog(parts);
  }

  /** An HAProxy that an earlier pointsman started serves this. */
  adopt(served: Rendered): void {
    this.served = served;
    this.#adopted = true;
  }
  replaced(worker: number | undefined): void {
    this.worker = worker;
    this.foreign = false;
    this.addedAtRunTime.clear();
  }

  /** Applies these steps. Returns a reason for a reload for each step that HAProxy refuses. */
  async execute(steps: readonly Step[], desired: Rendered): Promise<readonly ReloadReason[]> {
    this.#adoptRoutes(desired.routes);
    if (steps.length === 0) return [];
    const { link, rotation, metrics, logger } = this.#parts;
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
      rotation.onStep(step);
      if (step.kind === 'add-server') this.addedAtRunTime.add(`${step.backend}/${step.server.name}`);
      if ('name' in step && outcome.kind !== 'lingers') this.addedAtRunTime.delete(`${step.backend}/${step.name}`);
      if (step.kind === 'revive-server') this.pendingRemovals.revive(`${step.backend}/${step.server.name}`);
      if (outcome.kind === 'lingers' && 'name' in step) this.#removeServerLater(step.backend, step.name);
      this.served = afterStep(this.served, desired, step);
    }
    this.#adoptRoutes(desired.routes);
    return refused;
  }

  /** Takes the desired map if both have the same routes: then later plans need not compare them one by one. */
  #adoptRoutes(desired: Rendered['routes']): void {
    const { routes } = this.served;
    if (routes !== desired && routes.equals(desired)) this.served = { ...this.served, routes: desired };
  }

  #removeServerLater(backend: string, name: string): void {
    const line = this.served.backends.get(backend as ServiceName)?.servers.get(name as InstanceId);
    if (line !== undefined) this.pendingRemovals.addServer(`${backend}/${name}`, line);
  }

  /** Has backends deleted that are not desired any more. */
  removeLater(names: Iterable<ServiceName>, desired: Rendered): void {
    for (const name of names) {
      if (!desired.backends.has(name) && this.served.backends.has(name)) this.pendingRemovals.addBackend(name);
    }
  }

  /** Deletes the pending removals that have no connections any more. Returns whether a backend was among them. */
  async removePending(desired: Rendered): Promise<boolean> {
    const deleted = await this.pendingRemovals.remove(this.served, desired);
    if (deleted.length > 0) this.served = { ...this.served, backends: this.served.backends.deleteAll(deleted) };
    return deleted.length > 0;
  }

  /** Connects to the worker that serves now. Returns whether the worker, or the connection to it, is another one than before. */
  async meet(): Promise<boolean> {
    const { haproxy, link, oldWorkers } = this.#parts;
    const processes = await haproxy.processes();
    if (processes?.workerPid === undefined) throw new Fault('haproxy-runtime', 'HAProxy has no worker now');
    oldWorkers.seen(processes);
    if (processes.workerPid === this.worker && link.connected) return false;
    if (processes.workerPid !== this.worker) {
      this.pendingRemovals.clear();
      this.addedAtRunTime.clear();
    }
    await link.connect(processes.workerPid, pause);
    void oldWorkers.passOn(processes);
    if (this.worker !== undefined && processes.workerPid !== this.worker) this.foreign = true;
    this.worker = processes.workerPid;
    return true;
  }

  /** Adds the retired servers that an earlier pointsman left. */
  #adoptRetired({ servers }: RunningState): void {
    for (const [name, backend] of this.served.backends) {
      for (const [id, server] of servers.get(name) ?? []) {
        const at = `${name}/${id}`;
        if (!server.disabled || backend.servers.has(id as InstanceId) || this.pendingRemovals.servers.has(at)) continue;
        this.pendingRemovals.addServer(at, formatServerLine({ ...server, name: id, check: false, keywords: '' }));
      }
    }
  }

  /** Reads what the worker really runs and corrects the served state. Returns whether there was drift. */
  async readBack(): Promise<boolean> {
    const { link, lookAtFiles, firstChecks, states } = this.#parts;
    lookAtFiles();
    const running = await link.inspect();
    states.found(running.servers);
    if (!link.abilities.deletes) this.#adoptRetired(running);
    const { served, differences } = reconcile(this.served, running, this.pendingRemovals.servers);
    if (this.#adopted) firstChecks.adopt(served, running.servers);
    this.#adopted = false;
    if (differences.length === 0) return false;
    this.drift.found(differences);
    this.served = served;
    return true;
  }
}
