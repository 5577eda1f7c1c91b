import type { Container } from '../engine/container.ts';
import type { EngineApi } from '../engine/engine-api.ts';
import { Fault } from '../model/fault.ts';
import { servicesOf } from '../rollout/service-containers.ts';
import { stopCommand } from '../settings/rollout.ts';
import { openContainerParts } from './container-parts.ts';
import { enginesOf } from './engine-of.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { print, printJson, warn } from './outputs.ts';
import { abortOnSignal } from './signals.ts';
import { startSpinner } from './spinner.ts';
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
  const { engine } = first;
  const containers = await inspectAll(engine, invocation.operands);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const spinner = startSpinner(process.stderr, 'waiting until each balancer has let go');
  const { signal, dispose } = abortOnSignal();
  const words = { who: whoIs(invocation), why: `pointsman stop ${invocation.operands.join(' ')}`.slice(0, 256) };
  const limits = { drainTimeoutMs, force, lastsMs: drainTimeoutMs + marginMs, onProgress: spinner.say };
  const parts = await openContainerParts(registry, words, limits);
  try {
    const { drains, instances, balancers } = parts;
    const drained = await drains.drain(containers, signal);
    if (!drained.ok) {
      await drains.undrain(containers);
      const hint = 'wait longer with --drain-timeout, or stop it nevertheless with --force';
      throw new Fault('deadline', `nothing was stopped: ${drained.because}`, { hint });
    }
    const registered = containers.filter((one) => instances.ofContainers([one]).length > 0).map(({ id }) => id);
    if (registered.length > 0 && balancers() === 0) warn('no balancer is alive, so there was nothing to wait for');
    spinner.say(`stopping ${containers.map(({ name }) => name).join(', ')}`);
    await Promise.all(containers.map(({ id }) => engine.stop(id)));
    await drains.forget(containers);
    spinner.stop();
    for (const { id, name } of containers) {
      const was = registered.includes(id);
      if (json) printJson({ container: name, id, drained: was });
      else print(`${name}: ${was ? 'drained and stopped' : 'stopped; no agent had registered it'}\n`);
    }
    return done;
  } finally {
    spinner.stop();
    dispose();
    await parts.close();
    await registry.close();
  }
}

/** The containers with these names. Rejects when one does not exist: nothing is stopped then. */
async function inspectAll(engine: EngineApi, names: readonly string[]) {
  const found = await Promise.all(names.map(async (name) => [name, await engine.inspect(name)] as const));
  const missing = found.flatMap(([name, container]) => (container === undefined ? [name] : []));
  if (missing.length > 0) {
    const hint = '`docker ps` lists the containers; --engine names the engine';
    throw new Fault('not-found', `there is no container ${missing.join(', ')}`, { where: engine.location, hint });
  }
  const containers = new Map(found.flatMap(([, one]) => (one === undefined ? [] : [[one.id, one] as const])));
  return [...containers.values()].map(({ id, name, labels }: Container) => ({
    id,
    name,
    services: servicesOf(labels),
  }));
}
