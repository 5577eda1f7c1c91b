import type { ServiceName } from '../model/name.ts';
import { acmeService, isCertifiedKey, isChallengeTarget, serviceOfTarget } from '../model/route-target.ts';
import type { Rendered } from '../render/rendered.ts';
import type { RouteStep } from './step.ts';

/** Whether a route leads to the answer of a challenge, or led to one. */
export const concernsChallenge = (served: Rendered, desired: Rendered, route: string): boolean =>
  isChallengeTarget(desired.routes.get(route)) || isChallengeTarget(served.routes.get(route));

/**
 * Plans the routes of challenges. They wait for no service: only for the backend that answers them, which is part of the base
 * configuration. A route that a service has as well is the service's again afterwards, at once if the service `isReady`.
 */
export function planChallenges(
  served: Rendered,
  desired: Rendered,
  routes: readonly string[],
  isReady: (service: ServiceName) => boolean,
): readonly RouteStep[] {
  if (routes.length === 0) return [];
  const answers = answersChallenges(served);
  return routes.flatMap((route): readonly RouteStep[] => {
    const [now, target] = [served.routes.get(route), desired.routes.get(route)];
    const waits = target !== undefined && !(isChallengeTarget(target) ? answers : isReady(serviceOfTarget(target)));
    if (target === undefined || waits) return isChallengeTarget(now) ? [{ kind: 'remove-route', route }] : [];
    return [{ kind: now === undefined ? 'add-route' : 'set-route', route, target }];
  });
}

/** Plans the keys of names in certificates. A redirect asks for them, whenever HAProxy has its rules. */
export function planCertificateKeys(
  served: Rendered,
  desired: Rendered,
  differing: readonly string[],
): readonly RouteStep[] {
  return differing.filter(isCertifiedKey).map((route) => {
    const target = desired.routes.get(route);
    if (target === undefined) return { kind: 'remove-route', route };
    return { kind: served.routes.has(route) ? 'set-route' : 'add-route', route, target };
  });
}

/** Whether HAProxy has the backend that answers challenges. */
const answersChallenges = ({ base }: Rendered): boolean =>
  [base.before, base.after].some((text) => text.includes(`\nbackend ${acmeService} `));
