import { Fault } from '../model/fault.ts';
import { readService } from '../operate/target.ts';
import { startCommand } from '../register/command.ts';
import { EngineHost } from '../rollout/engine-host.ts';
import { type RolloutEnd, type RolloutEvent, rollOut } from '../rollout/roll-out.ts';
import { lockRollout } from '../rollout/rollout-lock.ts';
import { type RolloutSettings, rolloutCommand } from '../settings/rollout.ts';
import { openContainerParts } from './container-parts.ts';
import { enginesOf, type NamedEngine } from './engine-of.ts';
import { done, failed } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { colorsOf, print, printJson, warn } from './outputs.ts';
import { withoutSecrets } from './secrets.ts';
import { onSignals } from './signals.ts';
import { startSpinner } from './spinner.ts';
import { whoIs } from './who-is.ts';

/** A drain lasts longer than the steps of its rollout: it ends by itself only if this process is killed. */
const marginMs = { 'start-first': 600_000, 'stop-first': 3_600_000 } as const;

/** `pointsman rollout SERVICE -- COMMAND`. */
export async function run(invocation: Invocation): Promise<number> {
  const { rollout, ...settings } = await readInvocation(rolloutCommand, invocation);
  const [name, file, ...args] = invocation.operands;
  const service = readService(name);
  if (file === undefined) throw new Fault('usage', 'a command is missing', { hint: 'see pointsman rollout --help' });
  const engines = enginesOf(rollout.engines, invocation.env);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const unlock = await lockRollout(registry, service, whoIs(invocation)).catch(async (error: unknown) => {
    await registry.close();
    throw error;
  });
  const stopping = openStopping();
  const spinner = startSpinner(process.stderr);
  const { drainTimeoutMs, timeoutMs, order, force, json } = rollout;
  const lastsMs = drainTimeoutMs + timeoutMs + marginMs[order];
  const limits = { drainTimeoutMs, force, lastsMs, onProgress: spinner.say };
  const parts = await openContainerParts(registry, { who: whoIs(invocation), why: `pointsman rollout ${service}` }, limits); // biome-ignore format: one line
  const { instances, drains } = parts;
  const hostAt = ({ engine, address }: NamedEngine) =>
    new EngineHost({
      ...{ engine, service, registry, instances, drains, timeoutMs, signal: stopping.signal, onProgress: spinner.say },
      runCommand(scale) {
        // The command prints lines of its own.
        spinner.say('');
        const env = { ...withoutSecrets(invocation.env), ...environmentOf(address, scale) };
        return stopping.command({ file, args, env, ...(json && { output: 'stderr' as const }) });
      },
    });
  try {
    for (const [at, one] of engines.entries()) {
      const others = { before: engines.slice(0, at), after: engines.slice(at + 1) };
      const report = openReport(one.address, rollout, others);
      const end = await rollOut(hostAt(one), order, report.event);
      report.end(end);
      if (end.kind !== 'done') return failed;
    }
    return done;
  } finally {
    spinner.stop();
    stopping.dispose();
    await parts.close();
    await unlock();
    await registry.close();
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

/** Prints what happens at one engine. `others`: those that come before and after it. */
function openReport(
  address: string,
  { json }: Pick<RolloutSettings, 'json'>,
  others: { readonly before: readonly NamedEngine[]; readonly after: readonly NamedEngine[] },
) {
  const colors = colorsOf(process.stdout);
  const before = others.before.map((one) => one.address);
  const after = others.after.map((one) => one.address);
  const at = before.length + after.length > 0 ? `${address}: ` : '';
  return {
    event(event: RolloutEvent): void {
      const { kind, ...fields } = event;
      if (json) printJson({ event: kind, engine: address, ...fields });
      else print(`${at}${describeEvent(event)}\n`);
    },
    end(end: RolloutEnd): void {
      const { kind, ...fields } = end;
      if (json) {
        printJson({ event: kind, engine: address, ...fields, ...(kind !== 'done' && { before, after }) });
        return;
      }
      if (end.kind === 'done') {
        print(colors.green(`${at}done\n`));
        return;
      }
      const now = end.kind === 'back' ? 'the old containers serve as before' : end.now;
      print(colors.red(`${at}${end.because}; ${now}\n`));
      if (before.length > 0) print(colors.red(`replaced before: the containers of ${before.join(', ')}\n`));
      if (after.length > 0) print(colors.red(`untouched: the containers of ${after.join(', ')}\n`));
    },
  };
}

function describeEvent(event: RolloutEvent): string {
  if (event.kind === 'command') return `running the command, with ROLLOUT_SCALE=${event.scale}`;
  const names = event.containers.join(', ');
  switch (event.kind) {
    case 'started':
      return `the command started ${names}`;
    case 'unguarded':
      return `the command itself stopped ${names}: use a command that only starts containers, or --order stop-first`;
    case 'served':
      return `every balancer serves ${names}`;
    case 'draining':
      return `draining ${names}`;
    case 'removed':
      return `stopped and removed ${names}`;
    case 'undrained':
      return `${names} get requests again`;
    case 'kept':
      return `${names} are not stopped`;
  }
}
