import { formatInstant } from '../model/instant.ts';
import type { ServingContainer } from './service-containers.ts';

/** A container of a rollout that ended before its goal. */
export type ContainerNow = {
  readonly container: string;
  /** `old`: it was there before the rollout. */
  readonly age: 'old' | 'new';
  /** As the engine said last. `removed`: by pointsman; `lost`: the command stopped or removed it. */
  readonly state: 'runs' | 'stopped' | 'removed' | 'lost';
  /** When its drain ends by itself. */
  readonly drainedUntil?: string;
};

/** What is known of the containers of a rollout. */
export type Sightings = {
  /** Those that the rollout was to replace. */
  readonly old: readonly ServingContainer[];
  /** The last list of the engine. */
  readonly last: readonly ServingContainer[];
  /** Those that the command started. */
  readonly fresh: readonly ServingContainer[];
  /** Those that the command stopped. */
  readonly lost: readonly ServingContainer[];
  readonly drainEnds: (container: ServingContainer) => number | undefined;
};

export function containersNow({ old, last, fresh, lost, drainEnds }: Sightings): readonly ContainerNow[] {
  const active = new Map(last.map((one) => [one.id, one.active]));
  const isLost = new Set(lost.map(({ id }) => id));
  const stateOf = ({ id }: ServingContainer): ContainerNow['state'] => {
    const state = active.get(id);
    if (state === true) return 'runs';
    if (isLost.has(id)) return 'lost';
    return state === undefined ? 'removed' : 'stopped';
  };
  const now =
    (age: ContainerNow['age']) =>
    (one: ServingContainer): ContainerNow => {
      const until = drainEnds(one);
      const drained = until === undefined ? {} : { drainedUntil: formatInstant(until) };
      return { container: one.name, age, state: stateOf(one), ...drained };
    };
  return [...old.map(now('old')), ...fresh.map(now('new'))];
}

const verbs = {
  runs: ['runs', 'run'],
  stopped: ['does not run', 'do not run'],
  removed: ['was removed', 'were removed'],
  lost: ['was stopped by the command', 'were stopped by the command'],
} as const;

/** `a, b run, drained until 2026-01-31T09:30:00Z; c runs`. `known`: the engine has answered just now. */
export function describeNow(containers: readonly ContainerNow[], known: boolean): string {
  const groups = new Map<string, { readonly names: string[]; readonly like: ContainerNow }>();
  for (const one of containers) {
    const key = `${one.age} ${one.state} ${one.drainedUntil}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { names: [one.container], like: one });
    else group.names.push(one.container);
  }
  const clauses = [...groups.values()].map(({ names, like: { state, drainedUntil } }) => {
    const [one, several] = verbs[state];
    return `${names.join(', ')} ${names.length === 1 ? one : several}${drainedUntil === undefined ? '' : `, drained until ${drainedUntil}`}`;
  });
  const text = clauses.length === 0 ? 'no container was seen' : clauses.join('; ');
  return known ? text : `${text} (as seen before the engine stopped answering)`;
}

export type Circumstances = {
  /** The engine has answered just now. */
  readonly isKnown: boolean;
  /** No other rollout of the service has begun. */
  readonly isAlone: boolean;
  /** The rollout was going back. */
  readonly goesBack: boolean;
  readonly commandRan: boolean;
};

/** What the operator does with the containers of a rollout that is stuck. */
export function describeTodo(containers: readonly ContainerNow[], circumstances: Circumstances): string {
  const { isKnown, isAlone, goesBack, commandRan } = circumstances;
  if (!isAlone) return 'wait until the other rollout has ended, and look at the containers then';
  const those = (age: ContainerNow['age'], ...states: readonly ContainerNow['state'][]) =>
    containers.filter((one) => one.age === age && states.includes(one.state)).map(({ container }) => container).join(' '); // biome-ignore format: one chain
  const fresh = those('new', 'runs', 'stopped');
  const old = those('old', 'runs', 'stopped');
  const lost = those('old', 'lost');
  const todo: string[] = [];
  if (goesBack) {
    if (lost !== '')
      todo.push('pointsman cannot start again what the command stopped: repair the new containers, or start the old version with your command'); // biome-ignore format: one text
    else if (fresh !== '') todo.push(`to go back, remove the new containers: \`docker rm --force ${fresh}\``);
    else if (!isKnown && commandRan) todo.push('look for new containers of the service, and remove them');
  } else {
    if (old !== '') todo.push(`to finish, remove the old containers: \`docker rm --force ${old}\``);
    if (lost !== '') todo.push('next time, use a command that only starts containers, or --order stop-first');
  }
  if (containers.some(({ drainedUntil }) => drainedUntil !== undefined)) {
    todo.push('`pointsman undrain` ends a drain before its time');
  }
  return `${isKnown || todo.length === 0 ? '' : 'when the engine answers again: '}${todo.join('; ')}`;
}
