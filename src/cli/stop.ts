import type { Container } from '../engine/container.ts';
import type { EngineApi } from '../engine/engine-api.ts';
import { isContainerName } from '../engine/http-engine.ts';
import { Fault } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import { readServices } from '../operate/read-services.ts';
import type { Registry } from '../registry/registry.ts';
import { describeStopping } from '../rollout/describe-stopping.ts';
import { lastInstancesOf } from '../rollout/last-instances.ts';
import type { StepResult } from '../rollout/rollout-host.ts';
import { type ServingContainer, servicesOf } from '../rollout/service-containers.ts';
import { stopDrained } from '../rollout/stop-drained.ts';
import { stopCommand } from '../settings/rollout.ts';
import { openContainerParts, reachRegistry } from './container-parts.ts';
import { enginesOf } from './engine-of.ts';
import { done, failed } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { warn } from './outputs.ts';
import { patient } from './patient.ts';
import { abortOnSignal } from './signals.ts';
import { startSpinner } from './spinner.ts';
import { reportStop } from './stop-report.ts';
import { whoIs } from './who-is.ts';

/** Longer than most stop time-outs: the drain has to last until the container has ended. */
const marginMs = 600_000;

/** `pointsman stop CONTAINER…`. */
export async function run(invocation: Invocation): Promise<number> {
  const { stop, ...settings } = await readInvocation(stopCommand, invocation);
  const { drainTimeoutMs, force, json } = stop;
  const engines = enginesOf(stop.engines, invocation.env);
  const [first, ...more] = engines;
  if (first === undefined || more.length > 0) {
    throw new Fault('usage', 'it takes one engine', { where: '--engine', hint: 'stop the containers of each host by a command of their own' }); // biome-ignore format: one idea
  }
  const containers = await inspectAll(first.engine, invocation.operands);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const spinner = startSpinner(process.stderr, 'waiting until each balancer has let go');
  const { signal, dispose } = abortOnSignal();
  try {
    await reachRegistry(registry, `nothing was stopped; ${withoutDrain}`);
    const last = await lastOf(registry, containers);
    if (last.length > 0) warn(`no other instance of ${last.join(', ')} takes requests, so requests fail until another one does`); // biome-ignore format: one line
    const words = { who: whoIs(invocation), why: `pointsman stop ${invocation.operands.join(' ')}`.slice(0, 256) };
    const limits = { drainTimeoutMs, force, lastsMs: drainTimeoutMs + marginMs, onProgress: spinner.say };
    const parts = await openContainerParts(registry, words, limits);
    try {
      const registered = await drainAll(containers, parts, signal);
      spinner.say(describeStopping(containers), 'once');
      const outcomes = await stopDrained(patient(first.engine, spinner.say), containers, parts.drains);
      spinner.stop();
      for (const [at, container] of containers.entries()) {
        const { id, name } = container;
        const vanished = parts.drains.vanished(container);
        const stopped = {
          id,
          name,
          isDrained: registered.has(id),
          vanished,
          until: parts.drains.ends(container),
          last,
        };
        reportStop(stopped, outcomes[at] ?? { kind: 'stopped' }, json);
      }
      return outcomes.every(({ kind }) => kind === 'stopped' || kind === 'not-running') ? done : failed;
    } finally {
      await parts.close();
    }
  } finally {
    spinner.stop();
    dispose();
    await registry.close();
  }
}

const withoutDrain = '`docker stop` stops a container without a drain';

/** The services that no instance takes requests of any more when these containers are stopped. */
async function lastOf(registry: Registry, containers: readonly Found[]): Promise<readonly ServiceName[]> {
  const { services } = await readServices(registry, new Set(containers.flatMap((one) => one.services)), Date.now());
  return lastInstancesOf(containers, (service) => services.get(service)?.instances.values() ?? []);
}

/** Drains the containers, and gives the ids of those that an agent has registered. Rejects when they are not drained in time. */
async function drainAll(
  containers: readonly Found[],
  { drains, instances, balancers, away }: Awaited<ReturnType<typeof openContainerParts>>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  let drained: StepResult;
  try {
    drained = await drains.drain(containers, signal);
    if (!drained.ok) await drains.undrain(containers);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Fault(error.code, `nothing was stopped: ${error.message}`, { where: error.where, hint: withoutDrain, cause: error }); // biome-ignore format: one line
  }
  if (!drained.ok) {
    const longer = 'wait longer with --drain-timeout, or stop it nevertheless with --force';
    const hint = away() === undefined ? longer : withoutDrain;
    throw new Fault('deadline', `nothing was stopped: ${drained.because}`, { hint });
  }
  const registered = containers.filter((one) => instances.ofContainers([one]).length > 0).map(({ id }) => id);
  if (registered.length > 0 && balancers() === 0) warn('no balancer is alive, so there was nothing to wait for');
  return new Set(registered);
}

const quoteOdd = (name: string): string => (isContainerName(name) ? name : JSON.stringify(name));

type Found = Pick<ServingContainer, 'id' | 'name' | 'services'> & Pick<Container, 'phase' | 'stopTimeoutMs'>;

/** The containers with these names. Rejects when one does not exist: nothing is stopped then. */
async function inspectAll(engine: EngineApi, names: readonly string[]): Promise<readonly Found[]> {
  const found = await Promise.all(names.map(async (name) => [name, await engine.inspect(name)] as const));
  const missing = found.flatMap(([name, container]) => (container === undefined ? [name] : []));
  if (missing.length > 0) {
    const hint = '`docker ps` lists the containers; --engine names the engine';
    throw new Fault('not-found', `there is no container ${missing.map(quoteOdd).join(', ')}`, {
      where: engine.location,
      hint,
    });
  }
  const containers = new Map(found.flatMap(([, one]) => (one === undefined ? [] : [[one.id, one] as const])));
  return [...containers.values()].map(({ id, name, labels, phase, stopTimeoutMs }) => ({
    id,
    name,
    phase,
    stopTimeoutMs,
    services: servicesOf(labels),
  }));
}
