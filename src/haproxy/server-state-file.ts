import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Rendered } from '../render/rendered.ts';
import { isChecked, type Newcomer } from './newcomers.ts';
import { type RunningServer, type RunningState, sameIPv6 } from './running-state.ts';

/** A file of server states that says nothing of any server. HAProxy 2.6 warns of an empty one, and of none. */
export const noServerStates = '1\n';

const serverWords = /^server \S+ \[?([^\s\]]+)\]?:(\d+)(?= )(.*)$/;
const neverChecked = ['0', '0', '0'] as const;
const parametersOfFile = {
  stopped: 0,
  /** No maintenance, no drain: what the configuration says of those counts. */
  admin: 0,
  /** HAProxy takes the weight from here only where the configuration has the same one, so this one changes nothing. */
  weight: 256,
  health: 0,
  /** The check is configured (2) and on (4). */
  check: 6,
};

/**
 * The states that the next worker begins with, as `server-state-file` has them: the servers of `loaded` that a check of the
 * worker before found down, and `newcomers`. Without it HAProxy takes each server for up until a check fails. Everything else
 * about a server (address, weight, maintenance) is as the configuration says.
 */
export function formatServerStates(
  loaded: Rendered,
  running: RunningState['servers'],
  newcomers: readonly Newcomer[] = [],
): string {
  let text = noServerStates;
  for (const { service, id, line } of newcomers) {
    const [, , port] = serverWords.exec(line) ?? [];
    if (port !== undefined) text += stateLine(service, id, port, neverChecked);
  }

  for (const [backend, servers] of running) {
    const lines = loaded.backends.get(backend as ServiceName)?.servers;
    if (lines === undefined) continue;
    for (const [server, state] of servers) {
      const line = lines.get(server as InstanceId);
      // A server in maintenance is not up either, and no check says so.
      if (line === undefined || state.up || state.disabled) continue;
      const [, host = '', port = '', words = ''] = serverWords.exec(line) ?? [];
      if (isAt(state, host, port) && isChecked(words))
        text += stateLine(backend, server, port, state.lastCheck ?? neverChecked);
    }
  }
  return text;
}

const isAt = (state: RunningServer, host: string, port: string): boolean =>
  String(state.port) === port && (state.host === host || sameIPv6(state.host, host));

/** The columns of `show servers state`, up to the last that HAProxy must have. The port is taken over as it is written. */
function stateLine(backend: string, server: string, port: string, lastCheck: readonly string[]): string {
  const { stopped, admin, weight, health, check } = parametersOfFile;
  const [sinceS, status, result] = lastCheck;
  const name = ['0', backend, '0', server, '-'];
  const state = [stopped, admin, weight, weight, sinceS, status, result, health, check, 0];
  return `${[...name, ...state, 0, 0, '-', port, '-'].join(' ')}\n`;
}
