import { setTimeout as pause } from 'node:timers/promises';
import type { EngineApi } from '../../engine/engine-api.ts';
import { describe } from '../../model/fault.ts';

/** The container that an agent runs in, if that has a network of its own: the agent then sees no address of the machine. */
export type OwnContainer = { readonly id: string; readonly name: string };

/** Whether nobody gave the container a host name: it then has another one each time that it is recreated. */
export const isNamedById = ({ id }: OwnContainer, hostname: string): boolean => hostname === id.slice(0, 12);

/** The pause before the engine is asked again, in ms. */
const repeatMs = 1000;

/**
 * The id of the container that a process runs in, by its `/proc/self/mountinfo`: Docker and podman mount files of a folder with that name
 * at these places, whatever the host name is. Undefined outside of a container.
 */
export function ownContainerId(mountinfo: string): string | undefined {
  for (const line of mountinfo.split('\n')) {
    const [, , , root = '', mountPoint = ''] = line.split(' ', 5);
    if (!places.includes(mountPoint)) continue;
    const [, id] = /\/([0-9a-f]{64})\//.exec(root) ?? [];
    if (id !== undefined) return id;
  }
  return undefined;
}

const places: readonly string[] = ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];

/**
 * The container with this id, if the engine has it and it has a network of its own. Asks until the engine answers, because an agent that
 * does not know would announce wrong addresses. Undefined as well when `signal` aborts.
 */
export async function findOwnContainer(
  engine: EngineApi,
  id: string | undefined,
  { signal, onFailure }: { readonly signal: AbortSignal; readonly onFailure: (reason: string) => void },
): Promise<OwnContainer | undefined> {
  if (id === undefined) return undefined;
  while (!signal.aborted) {
    try {
      const found = await engine.inspect(id, signal);
      return found === undefined || found.networkMode === 'host' ? undefined : { id: found.id, name: found.name };
    } catch (error) {
      if (!signal.aborted) onFailure(describe(error));
      await pause(repeatMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}
