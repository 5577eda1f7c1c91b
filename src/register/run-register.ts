import type { Logger } from 'pino';
import { describe, Fault } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import type { InstanceTraits, RegisterSettings } from '../settings/register.ts';
import type { AgentParts } from './agent.ts';
import { Announcing, declareAll, type OpenContainers } from './announcing.ts';
import { type RunningCommand, startCommand, type WrappedCommand } from './command.ts';
import type { Announcer } from './declare.ts';
import { endCommand, StageDeadline } from './end-command.ts';
import type { Declared } from './registration.ts';

export type RegisterParts = Pick<Announcer, 'hostname' | 'owner' | 'env'> & {
  /** The machine's network interfaces as they are now. */
  readonly interfaces: () => Announcer['interfaces'];
  /** Loads the reader of declaration files, which only a folder of them needs. */
  readonly loadDeclarations: (traits: InstanceTraits) => Promise<AgentParts['readDeclaration']>;
  /** Loads the agent of containers, which only `--containers` needs. */
  readonly loadContainers: () => Promise<OpenContainers>;
  readonly registry: Registry;
  readonly logger: Logger;
  /** The application to run; undefined when it runs elsewhere. */
  readonly command: WrappedCommand | undefined;
  /** Called once instances can be announced; what it gets says how they are. */
  readonly onAnnouncing: (announcing: Pick<Announcing, 'facts'>) => void;
  /** Calls `listener` at each of the signals, until the answer is called. */
  readonly onSignals: (names: readonly NodeJS.Signals[], listener: (name: NodeJS.Signals) => void) => () => void;
  readonly pid: number;
  /** ms since this process started, monotonic. */
  readonly now: () => number;
  /** The time of day, in ms. */
  readonly wall: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
};

/** How long the registry may take at the end, in ms. Keys that are not removed by then expire. */
const revokeMs = 2000;

/** The signals for the command. Not those that always end or stop this process, or report its own faults. */
const passedOn: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGURG',
  'SIGWINCH',
  'SIGCONT',
];

type End =
  | { readonly kind: 'command-ended'; readonly exitCode: number }
  | { readonly kind: 'asked'; readonly by: NodeJS.Signals }
  | { readonly kind: 'refused'; readonly fault: unknown };

/**
 * Announces instances for as long as the command, or this process, lives. Resolves with the exit code: the command's
 * own, or 0 after a leave. Rejects with Fault `key-owned` when an instance is another's, and with Fault `settings` when
 * there is no address to announce.
 */
export async function runRegister(settings: RegisterSettings, parts: RegisterParts): Promise<number> {
  const { registry, now, random, wall, env, hostname, owner } = parts;
  const hasCommand = parts.command !== undefined;
  if (hasCommand && settings.containers !== undefined) {
    const hint = 'start a register for each of them';
    throw new Fault('settings', 'it cannot be given with a command', { where: '--containers', hint });
  }
  const announcer = (): Announcer => ({ hostname, owner, env, interfaces: parts.interfaces(), hasCommand });
  const instances = declareAll(settings.instances, announcer());
  const readDeclaration =
    settings.folder === undefined ? undefined : await parts.loadDeclarations(settings.folder.traits);
  const openContainers = settings.containers === undefined ? undefined : await parts.loadContainers();
  // A process with one instance has the name of that instance in each line of its log.
  const [first] = instances;
  const follows = settings.folder !== undefined || settings.containers !== undefined;
  const only = first !== undefined && instances.length === 1 && !follows ? first : undefined;
  const logger = only === undefined ? parts.logger : parts.logger.child(nameOf(only.declared));

  const command = parts.command === undefined ? undefined : await startCommand(parts.command);
  if (command !== undefined && 'reason' in command) {
    const { exitCode, reason } = command;
    logger.error({ event: 'command-not-started', command: parts.command?.file, exitCode, reason }, reason);
    return exitCode;
  }
  if (parts.pid === 1) {
    const message =
      'Node as the first process of a container never reaps orphans: start bin/pointsman, or use an init process';
    logger.warn({ event: 'no-reaper' }, message);
  }

  // The first of these ends the announcement: the command, a signal, or the registry.
  let onEnd: (end: End) => void = () => undefined;
  const ended = new Promise<End>((resolve) => {
    onEnd = resolve;
  });
  const announcing = new Announcing({
    settings,
    instances,
    readDeclaration,
    openContainers,
    registry,
    env,
    logger,
    loggerOf: (declared) => (only === undefined ? logger.child(nameOf(declared)) : logger),
    announcer,
    now,
    random,
    wall,
    // Neither a running command nor another instance ends because another process has the key of one.
    whenOwned: command === undefined ? 'refuse' : 'wait',
    onRefused: (fault) => {
      if (command === undefined) return onEnd({ kind: 'refused', fault });
      logger.error({ event: 'refused', reason: describe(fault) }, describe(fault));
    },
  });
  parts.onAnnouncing(announcing);
  const stages = new StageDeadline();
  const stopListening = listen(parts.onSignals, command, (by) => {
    onEnd({ kind: 'asked', by });
    stages.end();
  });
  const commandEnded = new AbortController();
  void command?.ended.then((exitCode) => {
    onEnd({ kind: 'command-ended', exitCode });
    commandEnded.abort();
  });
  announcing.begin().catch((fault: unknown) => onEnd({ kind: 'refused', fault }));
  const end = await ended;
  try {
    switch (end.kind) {
      case 'command-ended':
        logger.info({ event: 'command-ended', exitCode: end.exitCode }, 'the command ended');
        return end.exitCode;
      case 'asked':
        logger.info({ event: 'leaving', by: end.by }, `leaving because of ${end.by}`);
        await stages.within(announcing.leaveMs, (signal) =>
          announcing.leave(AbortSignal.any([signal, commandEnded.signal])),
        );
        return command === undefined ? 0 : await endCommand(command, settings.graceMs, stages, logger);
      case 'refused':
        if (command !== undefined) await endCommand(command, settings.graceMs, stages, logger);
        throw end.fault;
    }
  } finally {
    await stages.within(revokeMs, (signal) => announcing.stop(signal));
    stopListening();
  }
}

/** Calls `onLeave` at each signal that asks this process to end, and passes the others on to the command. */
function listen(
  onSignals: RegisterParts['onSignals'],
  command: RunningCommand | undefined,
  onLeave: (name: NodeJS.Signals) => void,
): () => void {
  if (command === undefined) return onSignals(['SIGTERM', 'SIGINT', 'SIGHUP'], onLeave);
  return onSignals(['SIGTERM', 'SIGINT', ...passedOn], (name) =>
    passedOn.includes(name) ? command.signal(name) : onLeave(name),
  );
}

const nameOf = ({ instance: { service, id } }: Declared) => ({ service, id });
