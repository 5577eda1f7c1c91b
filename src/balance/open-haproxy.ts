import type { Logger } from 'pino';
import { AttachedHaproxy } from '../haproxy/attached-haproxy.ts';
import { readVersion } from '../haproxy/check.ts';
import { CommandHaproxy } from '../haproxy/command-haproxy.ts';
import type { Haproxy } from '../haproxy/haproxy.ts';
import { ManagedHaproxy } from '../haproxy/managed-haproxy.ts';
import { Fault } from '../model/fault.ts';
import type { HaproxySettings } from '../settings/balance.ts';
import type { BalancePaths } from './state/paths.ts';

type OpenHaproxyParts = {
  readonly paths: BalancePaths;
  readonly logger: Logger;
  /** Aborted when the balancer is to end. */
  readonly signal: AbortSignal;
  /** Aborted when that is to take no longer. */
  readonly hurry: AbortSignal;
  /** Told when a managed one ended without being asked to. */
  readonly onExit: (reason: string) => void;
  /** Told when a managed one says that the health of a server changed, and when it is heard from now on. */
  readonly onHealth: () => void;
};

const onPath = 'haproxy';

/** The adapter that the settings ask for. Rejects with Fault `haproxy-missing`. */
export async function openHaproxy(
  settings: HaproxySettings,
  { paths, logger, signal, hurry, onExit, onHealth }: OpenHaproxyParts,
): Promise<Haproxy> {
  const { config: configFile, masterSocket, runtimeSocket } = paths;
  switch (settings.mode) {
    case 'managed': {
      const { executable = onPath } = settings;
      await readVersion(executable);
      return new ManagedHaproxy({ executable, configFile, masterSocket, logger, signal, hurry, onExit, onHealth });
    }
    case 'attached':
      return new AttachedHaproxy({ executable: await checkerOf(settings.executable), masterSocket, logger, signal });
    case 'command':
      return new CommandHaproxy({ ...settings, runtimeSocket });
  }
}

/** Beside somebody else's HAProxy a container needs none of its own; one that was named has to be there. */
async function checkerOf(named: string | undefined): Promise<string | undefined> {
  try {
    await readVersion(named ?? onPath);
  } catch (error) {
    if (named === undefined && error instanceof Fault && error.code === 'haproxy-missing') return undefined;
    throw error;
  }
  return named ?? onPath;
}
