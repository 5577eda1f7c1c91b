import { isStateKey } from '../model/service-state.ts';
import type { Step } from './step.ts';

/** The variable that tells a worker that no service has a state. Without it each request looks for the state of its service. */
export const plainMark = 'proc.pointsman_plain';

/** The keys of a route map that hold states. */
export type StateKeys = ReadonlySet<string>;

/** Tells a worker whether no service has a state. */
export const plainCommands = (plain: boolean): readonly string[] => [
  'experimental-mode on',
  `set var ${plainMark} bool(${plain ? 1 : 0})`,
  `get var ${plainMark}`,
];

/** Whether a worker took these commands, by its last answer. */
export const isToldPlain = (plain: boolean, answer: string): boolean => answer.includes(`value=<${plain ? 1 : 0}>`);

/** Whether a step gives a service a state. */
export const restricts = (step: Step): boolean =>
  (step.kind === 'add-route' || step.kind === 'set-route') && isStateKey(step.route);

/** The states of a worker that has run the steps. */
export function statesAfter(states: StateKeys, steps: readonly Step[]): StateKeys {
  const changes = steps.filter((step) => 'route' in step && isStateKey(step.route));
  if (changes.length === 0) return states;
  const after = new Set(states);
  for (const step of changes) {
    if (!('route' in step)) continue;
    if (step.kind === 'remove-route') after.delete(step.route);
    else after.add(step.route);
  }
  return after;
}

/** The states in a worker's route map. */
export const statesIn = (routes: ReadonlyMap<string, string>): StateKeys =>
  new Set([...routes.keys()].filter(isStateKey));
