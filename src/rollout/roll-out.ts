import { type ContainerChanges, changesBetween, type ServingContainer } from './service-containers.ts';

/** Which containers are served first: the new ones, while the old ones serve; or none of them, while other hosts serve. */
export type RolloutOrder = 'start-first' | 'stop-first';

/** Whether a step reached its goal in its time, or why not. */
export type StepResult = { readonly ok: true } | { readonly ok: false; readonly because: string };

/** The containers of a service on one host, and what a rollout does with them. Each step has its own time limit. */
export interface RolloutHost {
  /** The containers of the service that exist, active or not. */
  containers(): Promise<readonly ServingContainer[]>;
  /** Runs the command, which is told how many containers there are to be. Resolves with its exit code. */
  runCommand(scale: number): Promise<number>;
  /** Resolves when every balancer serves all instances of the containers. */
  served(containers: readonly ServingContainer[]): Promise<StepResult>;
  /** Resolves when every balancer serves at least one instance of the service that is none of these containers'. */
  othersServe(containers: readonly ServingContainer[]): Promise<StepResult>;
  /** Drains the instances of the containers. Resolves when every balancer has acknowledged it and has no open request of them. */
  drain(containers: readonly ServingContainer[]): Promise<StepResult>;
  /** Ends the drain of containers that go on. */
  undrain(containers: readonly ServingContainer[]): Promise<void>;
  /** Stops and removes containers, and ends their drain when they are out of the registry. */
  remove(containers: readonly ServingContainer[]): Promise<void>;
  /** Ends the drain of containers that somebody else has stopped, when they are out of the registry. */
  forget(containers: readonly ServingContainer[]): Promise<void>;
}

/** What happens in a rollout, in the order of time. */
export type RolloutEvent =
  | { readonly kind: 'draining' | 'served' | 'removed' | 'undrained' | 'kept'; readonly containers: readonly string[] }
  | { readonly kind: 'command'; readonly scale: number }
  | { readonly kind: 'started'; readonly containers: readonly string[] }
  /** The command stopped old containers that still got requests. */
  | { readonly kind: 'unguarded'; readonly containers: readonly string[] };

/** How a rollout on one host ended. */
export type RolloutEnd =
  | { readonly kind: 'done'; readonly started: readonly string[]; readonly removed: readonly string[] }
  /** The old containers serve as before, and no new one is left. */
  | { readonly kind: 'back'; readonly because: string }
  /** Something was changed that cannot be undone. */
  | { readonly kind: 'stuck'; readonly because: string; readonly now: string };

const namesOf = (containers: readonly ServingContainer[]): readonly string[] => containers.map(({ name }) => name);

/**
 * Replaces the containers of a service on one host. With `start-first` no old container is drained before every balancer serves the
 * new ones; with `stop-first` the command does not run before the old ones are drained and others serve. pointsman stops a container
 * only when no balancer has an open request of it.
 */
export async function rollOut(
  host: RolloutHost,
  order: RolloutOrder,
  say: (event: RolloutEvent) => void,
): Promise<RolloutEnd> {
  const before = await host.containers();
  const old = before.filter(({ active }) => active);
  const guarded = order === 'stop-first' && old.length > 0;
  const stopped = before.filter(({ active }) => !active);
  if (order === 'start-first' && stopped.length > 0) return { kind: 'back', because: whyStopped(stopped) };
  if (guarded) {
    const others = await host.othersServe(old);
    if (!others.ok) return { kind: 'back', because: others.because };
    const drained = await drain(host, old, say);
    if (!drained.ok) return goBack(host, { left: old, fresh: [], lost: [], drained: true }, drained.because, say);
  }
  const scale = Math.max(1, order === 'start-first' ? 2 * old.length : old.length);
  say({ kind: 'command', scale });
  const exitCode = await host.runCommand(scale);
  const changes = { ...changesBetween(before, await host.containers()), drained: guarded };
  const { fresh, left, lost } = changes;
  const because = exitCode !== 0 ? `the command ended with ${exitCode}` : 'the command started no new container';
  if (exitCode !== 0 || fresh.length === 0) return goBack(host, changes, because, say);
  say({ kind: 'started', containers: namesOf(fresh) });
  if (lost.length > 0) {
    if (!guarded) say({ kind: 'unguarded', containers: namesOf(lost) });
    // A new container may have the instance's id of an old one, and with it the drain.
    await host.forget(lost);
  }
  const served = await host.served(fresh);
  if (!served.ok) return goBack(host, changes, served.because, say);
  say({ kind: 'served', containers: namesOf(fresh) });
  // With stop-first, those that the command started again are not drained yet.
  const serving = guarded ? left.filter(({ id }) => old.every((one) => one.id !== id)) : left;
  if (serving.length > 0) {
    const drained = await drain(host, serving, say);
    if (!drained.ok) return goBack(host, { ...changes, drained: true }, drained.because, say);
  }
  const ended = await endedOf(host, fresh);
  if (ended.length > 0) {
    return goBack(
      host,
      { ...changes, drained: true },
      `${ended.join(', ')} ended while the old ones were drained`,
      say,
    );
  }
  if (left.length > 0) {
    await host.remove(left);
    say({ kind: 'removed', containers: namesOf(left) });
  }
  if (lost.length > 0 && !guarded) {
    const unguarded = `the command itself stopped ${namesOf(lost).join(', ')}, so requests may have failed`;
    return { kind: 'stuck', because: unguarded, now: `every balancer serves ${namesOf(fresh).join(', ')}` };
  }
  return { kind: 'done', started: namesOf(fresh), removed: [...namesOf(lost), ...namesOf(left)] };
}

/** The new containers that do not run any more: the old ones are not removed then. */
async function endedOf(host: RolloutHost, fresh: readonly ServingContainer[]): Promise<readonly string[]> {
  const now = await host.containers();
  const running = new Set(now.filter(({ active }) => active).map(({ id }) => id));
  return namesOf(fresh.filter(({ id }) => !running.has(id)));
}

/** A command with --no-recreate would start them again, with the old version, instead of new ones. */
function whyStopped(stopped: readonly ServingContainer[]): string {
  const names = namesOf(stopped);
  return `${names.join(', ')} ${names.length === 1 ? 'does' : 'do'} not run, and the command could start the old version again: \`docker start\` or \`docker rm ${names.join(' ')}\`, and run the rollout again`;
}

function drain(
  host: RolloutHost,
  containers: readonly ServingContainer[],
  say: (event: RolloutEvent) => void,
): Promise<StepResult> {
  say({ kind: 'draining', containers: namesOf(containers) });
  return host.drain(containers);
}

/** The old containers get requests again first. Then the new ones leave as the old ones would have left. */
async function goBack(
  host: RolloutHost,
  { fresh, left, lost, drained: wasDrained }: ContainerChanges & { readonly drained: boolean },
  because: string,
  say: (event: RolloutEvent) => void,
): Promise<RolloutEnd> {
  if (wasDrained && left.length > 0) {
    await host.undrain(left);
    say({ kind: 'undrained', containers: namesOf(left) });
  }
  if (lost.length > 0) {
    await host.forget(lost);
    const running = fresh.length === 0 ? 'none of the new ones exists' : `${namesOf(fresh).join(', ')} run on`;
    return { kind: 'stuck', because, now: `the command has stopped ${namesOf(lost).join(', ')}, and ${running}` };
  }
  if (fresh.length === 0) return { kind: 'back', because };
  const drained = await host.drain(fresh);
  if (!drained.ok) {
    await host.undrain(fresh);
    say({ kind: 'kept', containers: namesOf(fresh) });
    return { kind: 'stuck', because, now: `${namesOf(fresh).join(', ')} run on: ${drained.because}` };
  }
  await host.remove(fresh);
  say({ kind: 'removed', containers: namesOf(fresh) });
  return { kind: 'back', because };
}
