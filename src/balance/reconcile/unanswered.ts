import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { challengeKey } from '../../model/acme/keys.ts';
import { challengeRoute, challengeTarget } from '../../model/route-target.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import { canAnswerChallenges } from '../../render/challenge-routes.ts';
import type { Templates } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';

/** The challenges that HAProxy does not answer yet. While there are any, the leader does not tell the authority to ask. */
export function unanswered(
  { challenges }: Pick<Catalog, 'challenges'>,
  { routes }: Pick<Rendered, 'routes'>,
  templates: Templates,
  { acme = false }: Pick<BaseSettings, 'acme'>,
  obstacle: string,
): readonly Refusal[] {
  if (challenges.isEmpty()) return [];
  const why = whyNever(templates, acme);
  const refusals: Refusal[] = [];
  for (const [token, challenge] of challenges) {
    if (routes.get(challengeRoute(token, challenge)) === challengeTarget(challenge)) continue;
    refusals.push({ key: challengeKey(token), reason: why ?? obstacle, absent: true, final: why !== undefined });
  }
  return refusals;
}

function whyNever(templates: Templates, acme: boolean): string | undefined {
  if (!acme) return 'this balancer does not answer challenges: start it with --acme';
  return canAnswerChallenges(templates)
    ? undefined
    : `${templates.frame.file} has no backend _acme, so HAProxy cannot answer challenges: copy it from the shipped one`;
}
