import type { Catalog } from '../catalog/catalog.ts';
import { acmeService, challengeRoute, challengeTarget } from '../model/route-target.ts';
import type { BaseSettings } from './base-view.ts';
import type { Routes } from './routes.ts';

/** Whether a base configuration has the backend that answers challenges. An own one may be from before there were challenges. */
export const canAnswerChallenges = ({ frame }: { readonly frame: { readonly text: string } }): boolean =>
  frame.text.includes(`backend ${acmeService} `);

/**
 * The routes with those of the challenges, which come before a route of a service with the same host and path. They are like any other
 * route, so a request that is no challenge costs nothing more.
 */
export function withChallenges(
  routes: Routes,
  { challenges }: Pick<Catalog, 'challenges'>,
  templates: Parameters<typeof canAnswerChallenges>[0],
  { acme = false }: Pick<BaseSettings, 'acme'>,
): Routes {
  if (!acme || challenges.isEmpty() || !canAnswerChallenges(templates)) return routes;
  return routes.withMutations((draft) => {
    for (const [token, challenge] of challenges)
      draft.set(challengeRoute(token, challenge), challengeTarget(challenge));
  });
}
