import type { ServiceName } from '../model/name.ts';
import {
  formatState,
  isRouteKey,
  isStateKey,
  isVersionKey,
  type RouteTarget,
  serviceOfState,
  serviceOfTarget,
} from '../model/route-target.ts';
import type { Rendered, RenderedBackend } from '../render/rendered.ts';
import { bySpecificity, findRoute, RouteSet } from '../render/route-set.ts';
import { sameSection } from '../render/template.ts';
import { concernsChallenge, planCertificateKeys, planChallenges } from './plan-acme.ts';
import { parseServerLine } from './server-line.ts';
import type { RouteStep } from './step.ts';

/** The conditions of the running HAProxy that the plan of its routes depends on. */
export type RouteConditions = {
  /** Services whose backends this plan makes, from a policy that HAProxy runs. */
  readonly made: ReadonlySet<ServiceName>;
  /** Whether the worker was loaded from the configuration that `served` describes. */
  readonly certain: boolean;
  /** Whether the reload that is needed cannot be done for now. */
  readonly obstructed: boolean;
  /** How many changes of the map are made by command at most, when a reload can make them. */
  readonly mostCommands?: number | undefined;
  /** Whether the reload that a service needs has to wait for its turn: no other service's routes wait for it. */
  readonly paced?: ((service: ServiceName) => boolean) | undefined;
};

/**
 * HAProxy takes about 10,000 commands for its map in a second, and all other changes wait meanwhile. A reload takes a second at most in
 * most cases, with its turn. One policy has at most 1,024 routes and 4,096 further entries for its priorities.
 */
const mostCommands = 10_000;

/** The commands, and the services whose changes of routes are left to a reload, because it is quicker. */
export type RoutePlan = { readonly steps: readonly RouteStep[]; readonly crowding: readonly ServiceName[] };

type RemovalConditions = Pick<RouteConditions, 'obstructed'> & {
  /** Where `served` and `desired` differ. */
  readonly differing: readonly string[];
  readonly isReady: (service: ServiceName) => boolean;
  /** Routes that are asked for and have to wait. */
  readonly waiting: RouteSet;
  /** Routes that are added before any is removed. */
  readonly added: RouteSet;
};

/**
 * Plans routes and service states. A request sees one version of a service's policy, so a route to a service that needs a
 * reload waits for it: the reload loads the map together with the rules. A route that leads requests elsewhere meanwhile waits with
 * it. Only when that reload is held up are routes removed that the new policy does not have; adding them again, if HAProxy
 * refuses the new policy, takes no reload.
 *
 * HAProxy applies the steps one at a time while requests arrive. Routes are added before others change, the more specific
 * ones first, and removed last, the less specific ones first. So each request finds its former route or its new one.
 *
 * Where very many routes change, the services with the most changes wait for a reload, which loads them all at once.
 */
export function planRoutes(served: Rendered, desired: Rendered, conditions: RouteConditions): RoutePlan {
  const all = served.routes.differences(desired.routes);
  if (all.length === 0) return { steps: [], crowding: [] };
  const { obstructed, mostCommands: most = mostCommands, paced = () => false } = conditions;
  const isChallenge = (route: string) => isRouteKey(route) && concernsChallenge(served, desired, route);
  const unlike = all.filter((route) => isRouteKey(route) && !isChallenge(route));
  const crowding = obstructed ? new Set<ServiceName>() : crowdingIn(served, desired, unlike, most);
  const isReady = readiness(served, desired, conditions, crowding);
  // The routes of such a service stay as they are until its turn for a reload.
  const isLater = (service: ServiceName) => desired.backends.has(service) && paced(service) && !isReady(service);
  const later = new Map<ServiceName, boolean>();
  const differing = obstructed
    ? unlike
    : unlike.filter((route) => {
        const service = changedBy(served, desired, route);
        const known = later.get(service) ?? isLater(service);
        later.set(service, known);
        return !known;
      });
  const adding: RouteStep[] = [];
  const setting: RouteStep[] = [];
  const removing: RouteStep[] = [];
  const waiting = new RouteSet();
  /** Services that still have routes which they are to lose. */
  const lagging = new Set<ServiceName>();
  /** Waiting routes whose requests reach their service already, by a wider route. */
  const led = new RouteSet();
  const wait = (route: string, target: RouteTarget) => {
    waiting.add(route);
    const found = findRoute(served.routes, route);
    if (found !== undefined && serviceOfTarget(found) === serviceOfTarget(target)) led.add(route);
  };
  for (const route of differing.toSorted(bySpecificity)) {
    const target = desired.routes.get(route);
    if (target === undefined) continue;
    const now = served.routes.get(route);
    if (now === undefined) {
      if (isReady(serviceOfTarget(target)) && !led.hasBelow(route)) adding.push({ kind: 'add-route', route, target });
      else wait(route, target);
      continue;
    }
    const isGone = !desired.backends.has(serviceOfTarget(now));
    if (isReady(serviceOfTarget(target)) && (isGone || !waiting.hasBelow(route))) {
      setting.push({ kind: 'set-route', route, target });
      continue;
    }
    wait(route, target);
    if (isGone) removing.push({ kind: 'remove-route', route });
    else lagging.add(serviceOfTarget(now));
  }
  const added = new RouteSet(adding.map(({ route }) => route));
  const { removable, kept } = planRemovals(served, desired, { ...conditions, differing, isReady, waiting, added });
  for (const route of removable) removing.push({ kind: 'remove-route', route });
  for (const route of kept) lagging.add(serviceOfTarget(served.routes.get(route) as RouteTarget));
  const states = planStates(served, desired, all, (service) => isReady(service) && !lagging.has(service));
  removing.sort((a, b) => bySpecificity(b.route, a.route));
  const versions = planVersions(served, desired, all, isReady);
  const own = [
    ...planChallenges(served, desired, all.filter(isChallenge), isReady),
    ...planCertificateKeys(served, desired, all),
  ];
  const steps = [...states.restricting, ...own, ...versions, ...adding, ...setting, ...removing, ...states.loosening];
  return { steps, crowding: [...crowding] };
}

/**
 * The services with the most changes, so that those of all others are few enough for commands. The routes of a service that is gone do
 * not count: they go at once, with its servers.
 */
function crowdingIn(
  served: Rendered,
  desired: Rendered,
  differing: readonly string[],
  most: number,
): ReadonlySet<ServiceName> {
  const crowding = new Set<ServiceName>();
  if (differing.length <= most) return crowding;
  const counts = new Map<ServiceName, number>();
  let left = 0;
  for (const route of differing) {
    const service = changedBy(served, desired, route);
    if (!desired.backends.has(service)) continue;
    counts.set(service, (counts.get(service) ?? 0) + 1);
    left += 1;
  }
  for (const [service, count] of [...counts].sort(([, a], [, b]) => b - a)) {
    if (left <= most) break;
    crowding.add(service);
    left -= count;
  }
  return crowding;
}

/** The service that a route leads to, or led to before no service asked for the route. */
const changedBy = (served: Rendered, desired: Rendered, route: string): ServiceName =>
  serviceOfTarget((desired.routes.get(route) ?? served.routes.get(route)) as RouteTarget);

/** Separates the routes that no service asks for any more: some can go now, others wait for the reload. */
function planRemovals(
  served: Rendered,
  desired: Rendered,
  { obstructed, differing, isReady, waiting, added }: RemovalConditions,
): { readonly removable: readonly string[]; readonly kept: readonly string[] } {
  const obsolete = differing.filter((route) => !desired.routes.has(route));
  const withdrawn = new Set(obstructed ? givenUp(served, desired) : []);
  // The routes of such a service do not show how it answered requests that another service gets until now.
  let targets: ReturnType<typeof targetsOf> | undefined;
  const isUncertain = (service: ServiceName): boolean => {
    // All routes of a service that is gone are removed before this one, for they are less specific.
    if (isReady(service) || !desired.backends.has(service)) return false;
    // Looks at all routes, so only where it matters.
    targets ??= targetsOf(served);
    return (targets.get(service)?.size ?? 0) > 1;
  };
  const removable: string[] = [];
  const kept: string[] = [];
  const keptRoutes = new RouteSet();
  for (const route of obsolete.toSorted((a, b) => bySpecificity(b, a))) {
    const service = serviceOfTarget(served.routes.get(route) as RouteTarget);
    if (!desired.backends.has(service)) {
      removable.push(route);
      continue;
    }
    const isDone = isReady(service) || withdrawn.has(route);
    // Where nothing else is found, it is not found, and that is better than a route of old for as long as it takes.
    const over = [...served.routes.over(route)];
    const isCovered = waiting.hasOver(route) && (!obstructed || over.length > 0 || added.hasOver(route));
    const isDoubtful = over.some(([, target]) => isUncertain(serviceOfTarget(target)));
    const goes = isDone && !waiting.hasBelow(route) && !isCovered && !keptRoutes.hasOver(route) && !isDoubtful;
    if (goes) removable.push(route);
    else {
      kept.push(route);
      keptRoutes.add(route);
    }
  }
  return { removable, kept };
}

/** A state that keeps requests from a service comes first; the end of one waits with the rest of the service's policy. */
function planStates(
  served: Rendered,
  desired: Rendered,
  differing: readonly string[],
  isReady: (service: ServiceName) => boolean,
) {
  const restricting: RouteStep[] = [];
  const loosening: RouteStep[] = [];
  // A pause is an operator's, and not part of the policy.
  const waits = (route: string, now: RouteTarget | undefined) =>
    now === maintenance && desired.backends.has(serviceOfState(route)) && !isReady(serviceOfState(route));
  for (const route of differing) {
    const [now, target] = [served.routes.get(route), desired.routes.get(route)];
    if (!isStateKey(route) || waits(route, now)) continue;
    if (target === undefined) {
      loosening.push({ kind: 'remove-route', route });
      continue;
    }
    const kind = now === undefined ? 'add-route' : 'set-route';
    (target === maintenance || now === undefined ? restricting : loosening).push({ kind, route, target });
  }
  return { restricting, loosening };
}

/**
 * Which instances have a version, once HAProxy has the rules that ask. An instance is there before the count that includes its number, and goes
 * after it.
 */
function planVersions(
  served: Rendered,
  desired: Rendered,
  differing: readonly string[],
  isReady: (service: ServiceName) => boolean,
): readonly RouteStep[] {
  const adding: RouteStep[] = [];
  const setting: RouteStep[] = [];
  const removing: RouteStep[] = [];
  for (const route of differing.filter(isVersionKey).sort()) {
    const service = changedBy(served, desired, route);
    if (desired.backends.has(service) && !isReady(service)) continue;
    const target = desired.routes.get(route);
    if (target === undefined) removing.push({ kind: 'remove-route', route });
    else if (served.routes.has(route)) setting.push({ kind: 'set-route', route, target });
    else adding.push({ kind: 'add-route', route, target });
  }
  // The key of a count is the beginning of the keys of its numbers.
  return [...adding.reverse(), ...setting, ...removing];
}

const maintenance = formatState({ kind: 'maintenance' });

/** The routes that a plan removes now because the reload that their policies wait for cannot be done. */
export function withdrawable(
  served: Rendered,
  desired: Rendered,
  { certain }: Pick<RouteConditions, 'certain'>,
): readonly string[] {
  const { steps } = planRoutes(served, desired, { certain, made: new Set(), obstructed: true });
  return steps.flatMap(({ kind, route }) =>
    kind === 'remove-route' && isRouteKey(route) && !desired.routes.has(route) ? [route] : [],
  );
}

/**
 * The routes that a policy which waits for its reload does not have any more, so that they may be removed before it. A route
 * stays while its service has others that strip another part of the path: one of these may be found in its place, and no
 * version of the policy would answer so.
 */
function givenUp(served: Rendered, desired: Rendered): readonly string[] {
  const differing = served.routes.differences(desired.routes);
  const removed = differing.filter((route) => isRouteKey(route) && !desired.routes.has(route));
  if (removed.length === 0) return [];
  const targets = targetsOf(served);
  return removed.filter((route) => targets.get(serviceOfTarget(served.routes.get(route) as RouteTarget))?.size === 1);
}

/** All that the routes of each service lead to: more than one where they strip different parts of the path. */
function targetsOf(served: Rendered): ReadonlyMap<ServiceName, ReadonlySet<RouteTarget>> {
  const targets = new Map<ServiceName, Set<RouteTarget>>();
  for (const [route, target] of served.routes) {
    if (!isRouteKey(route)) continue;
    const service = serviceOfTarget(target);
    const known = targets.get(service);
    if (known === undefined) targets.set(service, new Set([target]));
    else known.add(target);
  }
  return targets;
}

/** Whether a service runs as its policy asks, so that only its routes differ. Asked once for each service with a step. */
function readiness(
  { backends: running }: Rendered,
  { backends: wanted }: Rendered,
  { made, certain }: RouteConditions,
  crowding: ReadonlySet<ServiceName>,
): (service: ServiceName) => boolean {
  const known = new Map<ServiceName, boolean>();
  return (service) => {
    const before = known.get(service);
    if (before !== undefined) return before;
    const runs = made.has(service) || (certain && runsAs(running.get(service), wanted.get(service)));
    const ready = runs && !crowding.has(service);
    known.set(service, ready);
    return ready;
  };
}

function runsAs(running: RenderedBackend | undefined, wanted: RenderedBackend | undefined): boolean {
  if (running === undefined || wanted === undefined || !sameSection(running.section, wanted.section)) return false;
  if (running.servers === wanted.servers) return true;
  return wanted.servers.every((line, id) => {
    const now = running.servers.get(id);
    return now === undefined || now === line || parseServerLine(now)?.keywords === parseServerLine(line)?.keywords;
  });
}
