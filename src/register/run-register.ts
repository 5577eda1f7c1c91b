import type { Logger } from 'pino';
import { formatAddress } from '../model/address.ts';
import { describe } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import type { RegisterSettings } from '../settings/register.ts';
import { Announcement } from './announcement.ts';
import { type CommandLine, type RunningCommand, startCommand } from './command.ts';
import { Patience } from './patience.ts';
import { SharedLease } from './shared-lease.ts';

export type RegisterParts = {
  readonly registry: Registry;
  readonly logger: Logger;
  /** Names this process and no other. */
  readonly owner: string;
  /** The application to run; without one, this process stands for an application that runs elsewhere. */
  readonly command: CommandLine | undefined;
  /** Calls `listener` at each of the signals, until the answer is called. */
  readonly onSignals: (names: readonly NodeJS.Signals[], listener: (name: NodeJS.Signals) => void) => () => void;
  /** ms since this process started, monotonic. */
  readonly now: () => number;
};

/** How long the registry may take to confirm a leave; after that the application is not kept waiting. */
const withdrawMs = 5000;
/** The same once the application is gone: nothing more is lost by leaving the key to expire. */
const revokeMs = 2000;

const passedOn: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'];

type End =
  | { readonly kind: 'command-ended'; readonly exitCode: number }
  | { readonly kind: 'asked'; readonly by: NodeJS.Signals }
  | { readonly kind: 'refused'; readonly fault: unknown };

/**
 * Announces an instance for as long as the command, or this process, lives. Resolves with the exit code: the command's
 * own, or 0 after a leave. Rejects with Fault `key-owned` when the instance is another's.
 */
export async function runRegister(settings: RegisterSettings, parts: RegisterParts): Promise<number> {
  const { registry, owner, onSignals, now } = parts;
  const { service, id, address, ttlMs, graceMs } = settings;
  const logger = parts.logger.child({ service, id });

  const command = parts.command === undefined ? undefined : await startCommand(parts.command);
  if (command !== undefined && 'reason' in command) {
    const { exitCode, reason } = command;
    logger.error({ event: 'command-not-started', command: parts.command?.file, exitCode, reason }, reason);
    return exitCode;
  }

  // Whatever speaks first ends the announcement: the command, a signal, or the registry.
  let speak: (end: End) => void = () => undefined;
  const spoken = new Promise<End>((resolve) => {
    speak = resolve;
  });
  const lease = new SharedLease({ registry, ttlMs, logger });
  const announcement = new Announcement({
    lease,
    logger,
    now,
    instance: { ...settings, state: 'ready', owner },
    onTaken: (fault) => {
      // A command that serves is not ended because somebody else wrote its key.
      if (command === undefined) speak({ kind: 'refused', fault });
    },
  });
  const patience = new Patience();
  const leaving: readonly NodeJS.Signals[] =
    command === undefined ? ['SIGTERM', 'SIGINT', 'SIGHUP'] : ['SIGTERM', 'SIGINT'];
  const stopListening = onSignals(command === undefined ? leaving : [...leaving, ...passedOn], (name) => {
    if (!leaving.includes(name)) return command?.signal(name);
    speak({ kind: 'asked', by: name });
    patience.end();
  });
  void command?.ended.then((exitCode) => speak({ kind: 'command-ended', exitCode }));

  const over = new AbortController();
  void announcement.publish(over.signal).then(
    (revision) =>
      logger.info(
        {
          event: 'announced',
          address: formatAddress(address),
          revision: String(revision),
          sinceStartMs: Math.round(now()),
        },
        `announced ${service}/${id} at ${formatAddress(address)}`,
      ),
    (fault: unknown) => speak({ kind: 'refused', fault }),
  );

  const end = await spoken;
  over.abort();
  try {
    switch (end.kind) {
      case 'command-ended':
        logger.info({ event: 'command-ended', exitCode: end.exitCode }, 'the command ended');
        return end.exitCode;
      case 'asked':
        logger.info({ event: 'leaving', by: end.by }, `leaving, as ${end.by} asks`);
        await patience.within(withdrawMs, (signal) => withdraw(announcement, logger, signal));
        return command === undefined ? 0 : await endCommand(command, graceMs, patience, logger);
      case 'refused':
        if (command !== undefined) await endCommand(command, graceMs, patience, logger);
        throw end.fault;
    }
  } finally {
    await patience.within(revokeMs, (signal) => lease.close(signal));
    stopListening();
  }
}

async function withdraw(announcement: Announcement, logger: Logger, signal: AbortSignal): Promise<void> {
  // What the registry never confirmed goes with the lease.
  if (!announcement.confirmed) return;
  try {
    const revision = await announcement.withdraw(signal);
    logger.info(
      { event: 'left', revision: revision === undefined ? undefined : String(revision) },
      'out of the registry',
    );
  } catch (error) {
    logger.warn({ event: 'leave-unconfirmed', reason: describe(error) }, 'the registry did not confirm the leave');
  }
}

async function endCommand(
  command: RunningCommand,
  graceMs: number,
  patience: Patience,
  logger: Logger,
): Promise<number> {
  command.signal('SIGTERM');
  const exitCode = await patience.within(graceMs, (signal) => Promise.race([command.ended, aborted(signal)]));
  if (exitCode !== undefined) return exitCode;
  logger.warn({ event: 'command-killed', graceMs }, 'the command did not end in time and is killed');
  command.signal('SIGKILL');
  return command.ended;
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
