import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { EngineRefusal } from '../engine/engine-api.ts';
import type { RepeatableEngine } from '../engine/patient-engine.ts';
import { describeObstacle } from '../fleet/barrier.ts';
import { isDone, type WaitState, waitFor } from '../fleet/wait-for.ts';
import { describe } from '../model/fault.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { formatDuration } from '../model/quantity.ts';
import type { Registry } from '../registry/registry.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import type { ContainerDrains } from './container-drains.ts';
import type { ContainerInstances, Registered } from './container-instances.ts';
import { describeStopping } from './describe-stopping.ts';
import type { RemovalResult, RolloutHost, StepResult } from './rollout-host.ts';
import type { RolloutLock } from './rollout-lock.ts';
import { containersOf, type ServingContainer, servicesOf } from './service-containers.ts';

export type EngineHostParts = {
  readonly engine: RepeatableEngine;
  readonly service: ServiceName;
  readonly registry: Registry;
  readonly instances: ContainerInstances;
  readonly drains: ContainerDrains;
  readonly lock: Pick<RolloutLock, 'confirm'>;
  /** How long new containers may take until every balancer serves them, in ms. */
  readonly timeoutMs: number;
  readonly runCommand: (scale: number) => Promise<number>;
  /** Aborts when the rollout is to go back. */
  readonly signal: AbortSignal;
  readonly onProgress: (text: string, often?: 'once') => void;
  /** For messages; undefined: the rollout has one engine. */
  readonly engineName: string | undefined;
};

/** How often to ask the engine for new containers that ended. */
const lookMs = 1000;

/** The containers of a service at one engine. */
export class EngineHost implements RolloutHost {
  readonly #parts: EngineHostParts;
  #goesBack = false;

  constructor(parts: EngineHostParts) {
    this.#parts = parts;
  }

  async containers(signal?: AbortSignal): Promise<readonly ServingContainer[]> {
    const { engine, service } = this.#parts;
    return containersOf(service, await engine.list({ all: true }, signal));
  }

  async services(): Promise<readonly string[]> {
    const listed = await this.#parts.engine.list({ all: true });
    return [...new Set(listed.flatMap(({ labels }) => servicesOf(labels)))];
  }

  runCommand(scale: number): Promise<number> {
    return this.#parts.runCommand(scale);
  }

  goesBack(): void {
    this.#goesBack = true;
  }

  alone(): Promise<StepResult> {
    return this.#parts.lock.confirm();
  }

  drain(containers: readonly ServingContainer[]): Promise<StepResult> {
    return this.#parts.drains.drain(containers, this.#signal);
  }

  drainEnds(container: ServingContainer): number | undefined {
    return this.#parts.drains.ends(container);
  }

  undrain(containers: readonly ServingContainer[]): Promise<void> {
    return this.#parts.drains.undrain(containers);
  }

  forget(containers: readonly ServingContainer[]): Promise<void> {
    return this.#parts.drains.forget(containers);
  }

  async remove(containers: readonly ServingContainer[]): Promise<RemovalResult> {
    const { engine, engineName, onProgress } = this.#parts;
    const stopping = containers.map(async ({ id, name }) => {
      const now = await engine.inspect(id).catch(() => undefined);
      return { name, stopTimeoutMs: now?.stopTimeoutMs };
    });
    onProgress(describeStopping(await Promise.all(stopping), engineName), 'once');
    const results = await Promise.allSettled(
      containers.map(async ({ id }) => {
        await engine.stop(id);
        await engine.remove(id);
      }),
    );
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (errors.length === 0) return { ok: true };
    const because = [...new Set(errors.map(describe))].join('; ');
    return {
      ok: false,
      because,
      refused:
        errors.length === containers.length &&
        errors.every((error) => error instanceof EngineRefusal && error.beganNothing),
    };
  }

  async othersServe(containers: readonly ServingContainer[]): Promise<StepResult> {
    const { instances, service, timeoutMs } = this.#parts;
    const limit = timeLimit(timeoutMs, this.#signal);
    instances.follow([service]);
    const own = () => new Set(instances.ofContainers(containers).map(({ instance }) => instance.id));
    await instances.until(() => true, limit);
    const mine = own();
    const others = instances.ofService(service).filter(({ instance }) => isReady(instance) && !mine.has(instance.id));
    if (others.length === 0) {
      const because = `no instance of ${service} on another host takes requests, and with --order stop-first others have to serve meanwhile`;
      return { ok: false, because };
    }
    const reached = new AbortController();
    const stop = AbortSignal.any([limit, reached.signal]);
    // Each instance listens to it.
    setMaxListeners(0, stop);
    const states = await Promise.all(
      others.map(async ({ instance: { id } }) => {
        const state = await this.#serves(service, id, stop);
        if (isDone(state)) reached.abort();
        return state;
      }),
    );
    if (states.some(isDone)) return { ok: true };
    return { ok: false, because: this.#late(describeStates(states)) };
  }

  async served(containers: readonly ServingContainer[]): Promise<StepResult> {
    const { instances, timeoutMs, onProgress } = this.#parts;
    const limit = timeLimit(timeoutMs, this.#signal);
    const ended = new AbortController();
    const stop = AbortSignal.any([limit, ended.signal]);
    setMaxListeners(0, stop);
    let because: string | undefined;
    const watching = this.#watchEnds(containers, stop).then((text) => {
      because = text;
      ended.abort();
    });
    instances.follow(containers.flatMap(({ services }) => services));
    onProgress('waiting until the agent registers the new containers, which it does when they are healthy');
    const registered = await instances.until((now) => allRegistered(containers, now), stop);
    const states = await Promise.all(
      (registered ?? []).map(({ instance: { service, id } }) => this.#serves(service, id, stop)),
    );
    const isServed = registered !== undefined && states.every(isDone);
    ended.abort();
    await watching;
    if (isServed) return { ok: true };
    const missing = registered === undefined ? await this.#whyUnregistered(containers) : describeStates(states);
    return { ok: false, because: because ?? this.#late(missing) };
  }

  get #signal(): AbortSignal | undefined {
    return this.#goesBack ? undefined : this.#parts.signal;
  }

  #late(missing: string): string {
    const { signal, timeoutMs } = this.#parts;
    return signal.aborted
      ? 'a signal stopped the command'
      : `not served within ${formatDuration(timeoutMs)}: ${missing}`;
  }

  #serves(service: ServiceName, id: InstanceId, signal: AbortSignal): Promise<WaitState> {
    const { registry, onProgress } = this.#parts;
    return waitFor(
      { subject: { service, id }, goal: 'serves', revision: undefined },
      {
        registry,
        mark: () => Promise.reject(new Error('a wait for service needs no mark')),
        onProgress: (state) => onProgress(`${service}/${id}: ${describeState(state)}`),
      },
      signal,
    );
  }

  /** Resolves with the reason when a new container ended and is not started again, or with undefined when `signal` aborts. */
  async #watchEnds(containers: readonly ServingContainer[], signal: AbortSignal): Promise<string | undefined> {
    const before = new Set<string>();
    while (!signal.aborted) {
      await pause(lookMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return undefined;
      const now = await this.containers(signal).catch(() => undefined);
      for (const { id, name } of now === undefined ? [] : containers) {
        if (now?.some((one) => one.id === id && one.active) === true) before.delete(id);
        // Two looks: an engine that starts it again is between two runs at one of them.
        else if (before.has(id)) return `${name} has ended`;
        else before.add(id);
      }
    }
    return undefined;
  }

  async #whyUnregistered(containers: readonly ServingContainer[]): Promise<string> {
    const { engine, instances } = this.#parts;
    const missing = containers.filter((one) => allRegistered([one], instances) === undefined);
    const reasons = missing.map(async ({ id, name }) => {
      const now = await engine.inspect(id).catch(() => undefined);
      if (now === undefined || now.phase === 'over') return `${name} does not run`;
      if (now.phase === 'paused') return `${name} is paused`;
      if (now.health === 'starting' || now.health === 'unhealthy')
        return `the health check of ${name} says ${now.health}`;
      return `${name} runs, and no agent has registered it (does \`pointsman register --containers\` run on its host?)`;
    });
    return (await Promise.all(reasons)).join('; ');
  }
}

const isReady = ({ state, weight }: Registered['instance']): boolean => state === 'ready' && weight > 0;

/** The instances of the containers, once each container has one in each of its services. */
function allRegistered(
  containers: readonly ServingContainer[],
  instances: ContainerInstances,
): readonly Registered[] | undefined {
  const all = containers.map((container) => ({
    services: container.services,
    registered: instances.ofContainers([container]).filter(({ instance }) => instance.state === 'ready'),
  }));
  const complete = all.every(({ services, registered }) =>
    services.every((service) => registered.some(({ instance }) => instance.service === service)),
  );
  return complete ? all.flatMap(({ registered }) => registered) : undefined;
}

function describeStates(states: readonly WaitState[]): string {
  const open = states.filter((state) => !isDone(state)).map(describeState);
  return [...new Set(open)].slice(0, 5).join('; ');
}

function describeState(state: WaitState): string {
  if (state.kind === 'registry') return state.because;
  const { verdict } = state;
  switch (verdict.kind) {
    case 'unheard':
      return `the registry does not answer: ${verdict.reason}`;
    case 'nobody':
      return 'no balancer is alive';
    case 'reached':
      return 'every balancer serves it';
    case 'waiting':
      return verdict.missing.map(({ balancer, obstacle }) => `${balancer} ${describeObstacle(obstacle)}`).join('; ');
  }
}
