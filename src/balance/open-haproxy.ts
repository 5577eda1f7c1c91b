import { AttachedHaproxy } from '../haproxy/attached-haproxy.ts';
import { readVersion } from '../haproxy/check.ts';
import { CommandHaproxy } from '../haproxy/command-haproxy.ts';
import type { Haproxy } from '../haproxy/haproxy.ts';
import { ManagedHaproxy } from '../haproxy/managed-haproxy.ts';
import type { OnHealth } from '../haproxy/output.ts';
import { Fault } from '../model/fault.ts';
import type { HaproxySettings } from '../settings/balance.ts';
import type { BalanceParts } from './balance-parts.ts';
import type { BalancePaths } from './state/paths.ts';

type OpenHaproxyParts = Pick<BalanceParts, 'logger' | 'signal' | 'hurry'> & {
  readonly paths: BalancePaths;
  /** Runs when a managed HAProxy ended by itself. */
  readonly onExit: (reason: string) => void;
  /** Runs with each change of a server's health that a managed HAProxy reports, and without one when its reports begin. */
  readonly onHealth: OnHealth;
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

/** A container next to somebody else's HAProxy needs no `haproxy` of its own. An executable that the settings name has to exist. */
async function checkerOf(named: string | undefined): Promise<string | undefined> {
  try {
    await readVersion(named ?? onPath);
  } catch (error) {
    if (named === undefined && error instanceof Fault && error.code === 'haproxy-missing') return undefined;
    throw error;
  }
  return named ?? onPath;
}
