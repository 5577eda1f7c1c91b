import type { Map as PersistentMap } from 'immutable';
import { type Allowance, type AllowanceTarget, type Allowed, allowedByDefault } from '../model/allowance.ts';
import type { ServiceName } from '../model/name.ts';

/** The claims that operators allow: for one service, or for all services without claims of their own. */
export type Allowances = PersistentMap<AllowanceTarget, Allowance>;

/** The claims that a service may make. */
export function allowedTo(allowances: Allowances, service: ServiceName): Allowed {
  if (allowances.isEmpty()) return allowedByDefault;
  const [own, all] = [allowances.get(service), allowances.get('*')];
  return {
    hosts: own?.hosts ?? all?.hosts,
    priority: own?.priority ?? all?.priority ?? allowedByDefault.priority,
    ports: own?.ports ?? all?.ports,
    certificates: own?.certificates ?? all?.certificates,
  };
}
