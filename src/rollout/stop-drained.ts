import type { Container } from '../engine/container.ts';
import { type EngineApi, EngineRefusal } from '../engine/engine-api.ts';
import { describe } from '../model/fault.ts';
import type { ContainerDrains } from './container-drains.ts';
import type { ServingContainer } from './service-containers.ts';

/** What became of a container that the engine was asked to stop. */
export type StopOutcome =
  | { readonly kind: 'stopped' }
  /** It had ended before, so there was nothing to stop. */
  | { readonly kind: 'not-running' }
  /** The engine did not stop it, so that its drain is ended. */
  | { readonly kind: 'runs'; readonly because: string }
  /** It may run, or end in a moment: it stays drained. */
  | { readonly kind: 'unclear'; readonly because: string };

type StoppedContainer = Pick<ServingContainer, 'id' | 'name' | 'services'> & Pick<Container, 'phase'>;

/** Stops drained containers, and ends their drain. Resolves with an outcome for each of them, in order. Never rejects. */
export async function stopDrained(
  engine: Pick<EngineApi, 'stop' | 'inspect'>,
  containers: readonly StoppedContainer[],
  drains: Pick<ContainerDrains, 'forget' | 'undrain'>,
): Promise<readonly StopOutcome[]> {
  const outcomes = await Promise.all(containers.map((one) => stop(engine, one)));
  const those = (...kinds: readonly (StopOutcome['kind'] | undefined)[]) =>
    containers.filter((_, at) => kinds.includes(outcomes[at]?.kind));
  const running = those('runs');
  const [undrained] = await Promise.allSettled([
    running.length > 0 ? drains.undrain(running) : undefined,
    drains.forget(those('stopped', 'not-running')),
  ]);
  if (undrained.status === 'fulfilled') return outcomes;
  const more = `; its drain could not be ended: ${describe(undrained.reason)}`;
  return outcomes.map((one) => (one.kind === 'runs' ? { ...one, because: `${one.because}${more}` } : one));
}

async function stop(
  engine: Pick<EngineApi, 'stop' | 'inspect'>,
  { id, phase }: Pick<StoppedContainer, 'id' | 'phase'>,
): Promise<StopOutcome> {
  try {
    const answer = await engine.stop(id);
    // The answer to a repeated call is about the container after the first call.
    return { kind: answer === 'did-not-run' && phase === 'over' ? 'not-running' : 'stopped' };
  } catch (error) {
    const because = describe(error);
    const now = await engine.inspect(id).catch(() => 'unknown' as const);
    if (now === 'unknown') return { kind: 'unclear', because };
    if (now === undefined || now.phase === 'over') return { kind: 'stopped' };
    return { kind: error instanceof EngineRefusal && error.beganNothing ? 'runs' : 'unclear', because };
  }
}
