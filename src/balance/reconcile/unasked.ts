import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { policyKey } from '../../model/key.ts';

/** The policies whose authentication asks another service, which an HAProxy without Lua cannot do: it refuses their requests. */
export function unasked({ services }: Pick<Catalog, 'services'>): readonly Refusal[] {
  return [...services.values()]
    .filter(({ policy }) => policy.auth?.forward !== undefined)
    .map(({ name }) => ({
      key: policyKey(name),
      reason: 'auth.forward: this HAProxy has no Lua (haproxy -vv), so it answers every request with status 503',
      final: true,
    }));
}
