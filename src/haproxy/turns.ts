import type { DirtySet } from '../model/dirty-set.ts';
import type { ServiceName } from '../model/name.ts';
import { isRouteKey, isStateKey, type RouteTarget, serviceOfState, serviceOfTarget } from '../model/route-target.ts';
import type { Rendered } from '../render/rendered.ts';
import { RouteSet } from '../render/route-set.ts';
import type { Step } from './step.ts';

/** How many steps a service has at most, in a plan with many steps, if they are all to come before those of services with more. */
const eachTurn = 8;
/** How many host patterns are compared. After that, routes keep the order of the plan; each takes HAProxy about 0.1 ms. */
const mostCompared = 200_000;

/**
 * The steps of a plan in an order in which services take turns: first all steps of services that have few, then 8 of each other
 * service, then 16 and so on. Steps of one service keep their order. A route step also stays behind the steps that it was planned
 * behind and that concern the same requests. So a round may stop after any step.
 */
export function inTurns(
  steps: readonly Step[],
  routes: Rendered['routes'],
  shortTurn: number = eachTurn,
): readonly Step[] {
  const owners = steps.map((step) => servicesOfStep(step, routes));
  const counts = new Map<ServiceName, number>();
  for (const [own] of owners) counts.set(own, (counts.get(own) ?? 0) + 1);
  const ordered: Step[] = [];
  let compared = 0;
  const mayShare = (step: Step, others: RouteSet): boolean => {
    if (others.hosts === 0 || !('route' in step) || !isRouteKey(step.route)) return false;
    compared += others.hosts;
    return compared > mostCompared || others.hasOver(step.route) || others.hasBelow(step.route);
  };
  let left = steps.map((_, i) => i);
  for (let turn = 0; left.length > 0; turn = Math.max(shortTurn, turn * 2)) {
    const budget = (service: ServiceName) => ((counts.get(service) ?? 0) <= shortTurn ? shortTurn : turn);
    const behind: number[] = [];
    const blocked = new Set<ServiceName>();
    const blockedRoutes = new RouteSet();
    const taken = new Map<ServiceName, number>();
    for (const i of left) {
      const step = steps[i] as Step;
      const [own, ...others] = owners[i] as Owners;
      const count = (taken.get(own) ?? 0) + 1;
      if (!blocked.has(own) && count <= budget(own) && !mayShare(step, blockedRoutes)) {
        taken.set(own, count);
        ordered.push(step);
        continue;
      }
      behind.push(i);
      for (const service of [own, ...others]) blocked.add(service);
      if ('route' in step && isRouteKey(step.route)) blockedRoutes.add(step.route);
    }
    left = behind;
  }
  return ordered;
}

type Owners = readonly [own: ServiceName, ...others: ServiceName[]];

/** The service that a step changes first; then the one that the changed route led to before. */
function servicesOfStep(step: Step, routes: Rendered['routes']): Owners {
  if (!('route' in step)) return [step.backend as ServiceName];
  if (isStateKey(step.route)) return [serviceOfState(step.route)];
  const before = routes.get(step.route);
  // A route that is removed belongs to the service that it led to.
  const target = step.kind === 'remove-route' ? (before ?? (step.route as RouteTarget)) : step.target;
  return before === undefined ? [serviceOfTarget(target)] : [serviceOfTarget(target), serviceOfTarget(before)];
}

/**
 * Splits the steps that are `left` when a round ends early. `now` finishes what the round began: it publishes its backends and renews
 * their cookies, which no later plan would do. `later` waits for the next round.
 */
export function closing(
  done: readonly Step[],
  left: readonly Step[],
): { readonly now: readonly Step[]; readonly later: readonly Step[] } {
  const begun = new Set(done.flatMap((step) => (isOpening(step) ? [step.backend] : [])));
  const closes = (step: Step) =>
    (step.kind === 'renew-cookies' || step.kind === 'publish-backend') && begun.has(step.backend);
  return { now: left.filter(closes), later: left.filter((step) => !closes(step)) };
}

const isOpening = (step: Step): step is Extract<Step, { kind: 'add-backend' | 'add-server' }> =>
  step.kind === 'add-backend' || step.kind === 'add-server';

/** The services of these steps in the order of their steps, with all that a round `touched` of them. */
export function touchedBy(steps: readonly Step[], routes: Rendered['routes'], dirty: DirtySet): DirtySet {
  const names = new Set(steps.flatMap((step) => servicesOfStep(step, routes)));
  return new Map([...names].map((name) => [name, dirty.get(name) ?? { whole: false, instances: new Set() }]));
}

/** How many steps a slice has at first, and at least, so that a machine under load does not spend its time on switching between them. */
export const leastSlice = 32;
/** How long the commands of a slice should take, in ms. Changes of other services wait for two slices in most cases. */
const aimMs = 25;
const mostGrowth = 4;

/** How many steps the next slice has, after one of so many steps took so long. */
export function nextSlice(steps: number, ms: number): number {
  const factor = Math.min(mostGrowth, aimMs / Math.max(1, ms));
  return Math.max(leastSlice, Math.floor(steps * factor));
}
