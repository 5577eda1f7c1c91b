import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { policyKey } from '../../model/key.ts';
import { canMatch } from '../../render/matched-routes.ts';
import type { Templates } from '../../render/render.ts';

/** The policies with a `match` that an own base configuration without the rules for it, or an HAProxy without Lua, does not serve. */
export function unmatched({ services }: Catalog, templates: Templates, hasLua: boolean): readonly Refusal[] {
  if (hasLua && canMatch(templates)) return [];
  const reason = hasLua
    ? `${templates.frame.file} has no rule lua.pointsman_match, so routes with a match do not count: copy the rules from the shipped one`
    : 'HAProxy was built without Lua, so it answers 501 to requests for hosts and paths with a match';
  return [...services.values()]
    .filter(({ policy }) => policy.mode === 'http' && policy.routes.some(({ match }) => match !== undefined))
    .map(({ name }) => ({ key: policyKey(name), reason, final: true }));
}
