import type { Map as PersistentMap } from 'immutable';
import { type Claim, type ClaimTarget, type EffectiveClaim, noClaim } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';

/** The claims that operators allow: for one service, or for all services without claims of their own. */
export type Claims = PersistentMap<ClaimTarget, Claim>;

/** The claims that a service may make. */
export function claimOf(claims: Claims, service: ServiceName): EffectiveClaim {
  if (claims.isEmpty()) return noClaim;
  const [own, all] = [claims.get(service), claims.get('*')];
  return {
    hosts: own?.hosts ?? all?.hosts,
    priority: own?.priority ?? all?.priority ?? noClaim.priority,
    ports: own?.ports ?? all?.ports,
    certificates: own?.certificates ?? all?.certificates,
  };
}
