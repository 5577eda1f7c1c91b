import type { Logger } from 'pino';
import { describe, Fault } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import type { InstanceSettings, InstanceTraits, RegisterSettings } from '../settings/register.ts';
import { Agent, type AgentParts } from './agent.ts';
import { startCommand, type WrappedCommand } from './command.ts';
import { type Announcer, declare } from './declare.ts';
import { Departure } from './departure.ts';
import { endCommand } from './end-command.ts';
import { followAddresses } from './follow-addresses.ts';
import { openProbe } from './probe.ts';
import { confirmMs, type Declared, Registration, type RegistrationParts, turnMs } from './registration.ts';
import { SharedLease } from './shared-lease.ts';
import { StageDeadline } from './stage-deadline.ts';

export type RegisterParts = Pick<Announcer, 'hostname' | 'owner' | 'env'> & {
  /** The machine's network interfaces as they are now. */
  readonly interfaces: () => Announcer['interfaces'];
  /** Gives what reads a declaration file: loaded only when there is a folder of them. */
  readonly loadDeclarations: (traits: InstanceTraits) => Promise<AgentParts['readDeclaration']>;
  readonly registry: Registry;
  readonly logger: Logger;
  /** The application to run; without one, this process stands for an application that runs elsewhere. */
  readonly command: WrappedCommand | undefined;
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

/** How long the registry may take at the end: nothing more is lost then by leaving the keys to expire. */
const revokeMs = 2000;

/** The command's own affair. Left out are those that end or stop this process whatever it wants, or tell of its own faults. */
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
  const { registry, onSignals, now, random } = parts;
  const { ttlMs, graceMs, drainTimeoutMs } = settings;
  const announcer = (): Announcer => {
    const { hostname, owner, env, command } = parts;
    return { hostname, owner, env, interfaces: parts.interfaces(), hasCommand: command !== undefined };
  };
  const instances = declareAll(settings.instances, announcer());
  const readDeclaration =
    settings.folder === undefined ? undefined : await parts.loadDeclarations(settings.folder.traits);
  // What concerns the process has the name of its instance, if there is only one.
  const [first] = instances;
  const only = first !== undefined && instances.length === 1 && settings.folder === undefined ? first : undefined;
  const logger = only === undefined ? parts.logger : parts.logger.child(nameOf(only.declared));

  const command = parts.command === undefined ? undefined : await startCommand(parts.command);
  if (command !== undefined && 'reason' in command) {
    const { exitCode, reason } = command;
    logger.error({ event: 'command-not-started', command: parts.command?.file, exitCode, reason }, reason);
    return exitCode;
  }

  if (parts.pid === 1) {
    const message =
      'Node as the first process of a container never reaps orphans: start bin/pointsman itself, or have an init';
    logger.warn({ event: 'no-reaper' }, message);
  }

  // Whatever speaks first ends the announcement: the command, a signal, or the registry.
  let speak: (end: End) => void = () => undefined;
  const spoken = new Promise<End>((resolve) => {
    speak = resolve;
  });
  const lease = new SharedLease({ registry, ttlMs, logger });
  const openRegistration: AgentParts['openRegistration'] = (one, hooks) =>
    new Registration({
      lease,
      declared: one,
      logger: only === undefined ? logger.child(nameOf(one)) : logger,
      now,
      random,
      openProbe: (target) => openProbe(target, parts),
      ...hooks,
    });
  const onRefused: RegistrationParts['onRefused'] = (fault) => {
    // Nothing that the registry says ends a command that runs.
    if (command === undefined) return speak({ kind: 'refused', fault });
    logger.error({ event: 'refused', reason: describe(fault) }, describe(fault));
  };
  // A command that runs is never ended because another one holds its key, and neither are the neighbours of an agent.
  const whenHeld = command === undefined ? 'refuse' : 'wait';
  const openDeparture = () => new Departure({ registry, drainTimeoutMs, now });
  const registrations = instances.map(({ declared }) => openRegistration(declared, { onRefused, whenHeld }));
  const agent =
    settings.folder === undefined || readDeclaration === undefined
      ? undefined
      : new Agent({
          path: settings.folder.path,
          check: settings.folder.traits.check,
          readDeclaration,
          announcer,
          openRegistration,
          openDeparture,
          logger,
          wall: parts.wall,
        });
  const announcing = [...registrations, ...(agent === undefined ? [] : [agent])];
  const patience = new StageDeadline();
  const leaving: readonly NodeJS.Signals[] =
    command === undefined ? ['SIGTERM', 'SIGINT', 'SIGHUP'] : ['SIGTERM', 'SIGINT'];
  const stopListening = onSignals(command === undefined ? leaving : [...leaving, ...passedOn], (name) => {
    if (!leaving.includes(name)) return command?.signal(name);
    speak({ kind: 'asked', by: name });
    patience.end();
  });
  const commandEnded = new AbortController();
  void command?.ended.then((exitCode) => {
    speak({ kind: 'command-ended', exitCode });
    commandEnded.abort();
  });
  for (const registration of registrations) registration.begin();
  const stopFollowing = followAddresses(instances, announcer, (index, one) => registrations[index]?.update(one));
  // A folder that cannot be read ends the process as an instance that is refused does.
  agent?.begin().catch((fault: unknown) => speak({ kind: 'refused', fault }));

  const end = await spoken;
  stopFollowing();
  try {
    switch (end.kind) {
      case 'command-ended':
        logger.info({ event: 'command-ended', exitCode: end.exitCode }, 'the command ended');
        return end.exitCode;
      case 'asked': {
        const together = registrations.length + (agent?.size ?? 0);
        logger.info({ event: 'leaving', by: end.by }, `leaving, as ${end.by} asks`);
        await patience.within(drainTimeoutMs + 2 * (confirmMs + turnMs * together), async (signal) => {
          const departure = openDeparture();
          const stop = AbortSignal.any([signal, commandEnded.signal]);
          await Promise.all(announcing.map((one) => one.leave(departure, stop, together))).finally(() =>
            departure.close(),
          );
        });
        return command === undefined ? 0 : await endCommand(command, graceMs, patience, logger);
      }
      case 'refused':
        if (command !== undefined) await endCommand(command, graceMs, patience, logger);
        throw end.fault;
    }
  } finally {
    await patience.within(revokeMs, async (signal) => {
      await Promise.all([lease.close(signal), ...announcing.map((one) => one.stop())]);
    });
    stopListening();
  }
}

const nameOf = ({ instance: { service, id } }: Declared) => ({ service, id });

function declareAll(settings: readonly InstanceSettings[], announcer: Announcer) {
  const faults: Fault[] = [];
  const instances = settings.flatMap((one) => {
    const declared = declare(one, announcer);
    if (!(declared instanceof Fault)) return [{ settings: one, declared }];
    faults.push(declared);
    return [];
  });
  const [fault, ...more] = faults;
  if (fault === undefined) return instances;
  throw more.length === 0 ? fault : new AggregateError(faults);
}
