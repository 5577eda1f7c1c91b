import type { RepeatableEngine } from '../engine/patient-engine.ts';
import { describe, Fault } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import { formatDuration } from '../model/quantity.ts';
import { readService } from '../operate/target.ts';
import { startCommand } from '../register/command.ts';
import type { Registry } from '../registry/registry.ts';
import { EngineHost } from '../rollout/engine-host.ts';
import { whyRefused } from '../rollout/refusal.ts';
import { rollOut } from '../rollout/roll-out.ts';
import { lockRollout, type RolloutLock } from '../rollout/rollout-lock.ts';
import { rolloutCommand } from '../settings/rollout.ts';
import { openContainerParts, reachRegistry } from './container-parts.ts';
import { enginesOf } from './engine-of.ts';
import { done, failed } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { printJson, warn } from './outputs.ts';
import { patient } from './patient.ts';
import { openReport } from './rollout-report.ts';
import { withoutSecrets } from './secrets.ts';
import { onSignals } from './signals.ts';
import { startSpinner } from './spinner.ts';
import { whoIs } from './who-is.ts';

/** A drain lasts longer than the steps of its rollout: it ends by itself only if this process is killed. */
const marginMs = { 'start-first': 600_000, 'stop-first': 3_600_000 } as const;

/** `pointsman rollout SERVICE -- COMMAND`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(rolloutCommand, invocation);
  let isTold = false;
  try {
    return await replaceAll(invocation, settings, () => {
      isTold = true;
    });
  } catch (error) {
    // No rollout has begun: one that has does not reject.
    if (settings.rollout.json && !isTold) printJson({ event: 'refused', because: describe(error) });
    throw error;
  }
}

/** `onEnd` is called when the last line of a rollout is printed. */
async function replaceAll(
  invocation: Invocation,
  { rollout, ...settings }: ReturnType<typeof rolloutCommand.assemble>,
  onEnd: () => void,
): Promise<number> {
  const [name, file, ...args] = invocation.operands;
  const service = readService(name);
  if (file === undefined) throw new Fault('usage', 'a command is missing', { hint: 'see pointsman rollout --help' });
  const engines = enginesOf(rollout.engines, invocation.env);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const lock = await openLock(registry, service, whoIs(invocation));
  const stopping = openStopping();
  const spinner = startSpinner(process.stderr);
  const { drainTimeoutMs, timeoutMs, order, create, force, json } = rollout;
  const limits = {
    drainTimeoutMs,
    force,
    lastsMs: drainTimeoutMs + timeoutMs + marginMs[order],
    onProgress: spinner.say,
  };
  const parts = await openContainerParts(registry, { who: whoIs(invocation), why: `pointsman rollout ${service}` }, limits); // biome-ignore format: one line
  const plan = { service, order, create };
  const hostAt = (engine: RepeatableEngine, address: string) =>
    new EngineHost({
      ...{ engine, service, registry, lock, timeoutMs, signal: stopping.signal, onProgress: spinner.say },
      ...{ instances: parts.instances, drains: parts.drains },
      engineName: engines.length > 1 ? address : undefined,
      runCommand(scale) {
        // The command prints lines of its own.
        spinner.say('');
        const env = { ...withoutSecrets(invocation.env), ...environmentOf(address, scale) };
        return stopping.command({ file, args, env, ...(json && { output: 'stderr' as const }) });
      },
    });
  try {
    for (const one of engines) {
      const host = hostAt(one.engine, one.address);
      const refusal = await whyRefused(plan, host, await host.containers());
      if (refusal === undefined) continue;
      const after = engines.filter((other) => other !== one);
      openReport(one.address, json, { before: [], after }).end({ kind: 'refused', because: refusal });
      onEnd();
      return failed;
    }
    if (parts.balancers() === 0) warn(`no balancer is alive: without one, the rollout goes back after ${formatDuration(timeoutMs)}`); // biome-ignore format: one line
    for (const [at, one] of engines.entries()) {
      const report = openReport(one.address, json, { before: engines.slice(0, at), after: engines.slice(at + 1) });
      const end = await rollOut(hostAt(patient(one.engine, spinner.say), one.address), plan, report.event);
      report.end(end);
      onEnd();
      if (end.kind === 'done') continue;
      if (end.error !== undefined && !(end.error instanceof Fault)) throw end.error;
      return failed;
    }
    return done;
  } finally {
    spinner.stop();
    stopping.dispose();
    await parts.close();
    await lock.release();
    await registry.close();
  }
}

async function openLock(registry: Registry, service: ServiceName, by: string): Promise<RolloutLock> {
  try {
    await reachRegistry(registry, 'nothing was changed');
    return await lockRollout(registry, service, { by, since: Date.now() });
  } catch (error) {
    await registry.close();
    throw error;
  }
}

/** How the clients of Docker and podman find the engine, and how many containers the command is to run. */
const environmentOf = (address: string, scale: number) => ({
  DOCKER_HOST: address,
  CONTAINER_HOST: address,
  ROLLOUT_SCALE: String(scale),
});

/** The first signal makes the rollout go back, and ends the command; the second ends this process. */
function openStopping() {
  const controller = new AbortController();
  let end: (() => void) | undefined;
  const dispose = onSignals(['SIGTERM', 'SIGINT'], (name) => {
    dispose();
    controller.abort();
    // A terminal sends SIGINT to the command as well.
    if (name === 'SIGTERM') end?.();
  });
  return {
    signal: controller.signal,
    dispose,
    /** Runs a command to its end. Resolves with its exit code. */
    async command(command: Parameters<typeof startCommand>[0]): Promise<number> {
      const running = await startCommand(command);
      if ('reason' in running) {
        warn(`${command.file}: ${running.reason}`);
        return running.exitCode;
      }
      end = () => running.signal('SIGTERM');
      const exitCode = await running.ended;
      end = undefined;
      return exitCode;
    },
  };
}
