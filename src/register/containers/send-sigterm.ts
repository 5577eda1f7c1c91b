import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Container } from '../../engine/container.ts';
import type { EngineApi } from '../../engine/engine-api.ts';
import { backoffMs } from '../../waiting/backoff.ts';

/** `engine`: the engine sent it; `directly`: this process did; `ended`: that run has ended; `failed`: nobody could. */
export type Sent = 'engine' | 'directly' | 'ended' | 'failed';

export type SendSigtermOptions = {
  readonly engine: Pick<EngineApi, 'kill' | 'inspect'>;
  /** Aborts when the agent is about to end: it then makes one more attempt. */
  readonly lastAttempt: AbortSignal;
  /** Sends SIGTERM to the first process of a container without its engine; false when that is not possible. */
  readonly terminateDirectly: (container: Container) => Promise<boolean>;
  /** Called once, when both ways fail. */
  readonly onFailure: (error: unknown) => void;
};

const retry = { firstMs: 500, mostMs: 5000 };

/**
 * Sends SIGTERM to the present run of a container, until that succeeds or the run has ended. Docker Engine that ends takes no new
 * connections, and then waits until its containers have ended; one that restarts with `live-restore` forgets that it was about to stop one.
 */
export async function sendSigterm(
  container: Container,
  { engine, lastAttempt, terminateDirectly, onFailure }: SendSigtermOptions,
): Promise<Sent> {
  const { id, startedAt } = container;
  for (let failures = 0; ; ) {
    try {
      // Without the inspection, a run that began meanwhile would get the signal.
      const present = await engine.inspect(id);
      if (present === undefined || present.phase === 'over' || present.startedAt !== startedAt) return 'ended';
      return (await engine.kill(id, 'TERM')) ? 'engine' : 'ended';
    } catch (error) {
      if (await terminateDirectly(container)) return 'directly';
      failures += 1;
      if (failures === 1) onFailure(error);
    }
    if (lastAttempt.aborted) return 'failed';
    await pause(backoffMs(retry, failures), undefined, { signal: lastAttempt }).catch(() => undefined);
  }
}

/**
 * Sends SIGTERM to the first process of a container of this machine. False when there is none, or this user may not. The pid is that of
 * the engine's namespace, and may be another process here or later, so its control groups have to name the container.
 */
export async function terminateProcess({ id, pid }: Pick<Container, 'id' | 'pid'>): Promise<boolean> {
  if (pid <= 1 || !/^[0-9a-f]{64}$/.test(id)) return false;
  try {
    if (!(await readFile(`/proc/${pid}/cgroup`, 'utf8')).includes(id)) return false;
    process.kill(pid, 'SIGTERM');
    return true;
  } catch {
    return false;
  }
}
