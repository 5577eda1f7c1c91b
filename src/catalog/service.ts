import type { Map as PersistentMap } from 'immutable';
import type { EffectiveClaim } from '../model/claim.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Brand } from '../model/parsed.ts';
import type { Policy } from '../model/policy.ts';
import type { ServiceState } from '../model/route-target.ts';
import { createdAt, type Entry } from '../registry/registry.ts';
import type { Numbers } from './numbers.ts';

export type Service = {
  readonly name: ServiceName;
  readonly policy: Policy;
  /** False when `policy` is the default because the service has none. */
  readonly declared: boolean;
  /** Since when it has a policy without a break; undefined while it has none. */
  readonly since: Since | undefined;
  /** The claims that operators allow it. */
  readonly claim: EffectiveClaim;
  /** As their registrations say. */
  readonly registered: PersistentMap<InstanceId, Instance>;
  /** As they should be served: those that are registered, under the operators' overrides. The same map where none counts. */
  readonly instances: PersistentMap<InstanceId, Instance>;
  readonly numbers: Numbers;
  /** The override that keeps requests from it. The service is then there even without a policy and instances. */
  readonly suspended: ServiceState | undefined;
};

/** When a service got its policy, in the registry's order of changes: a smaller one is earlier. */
export type Since = Brand<bigint, 'Since'>;

/** More than all revisions. */
const before = 2n ** 64n;

/**
 * An entry that is held because the registry was replaced has a revision of another order. It was there before anything that
 * the new registry has.
 */
export const sinceOf = (entry: Entry): Since =>
  (entry.held?.kind === 'replaced' ? createdAt(entry) - before : createdAt(entry)) as bigint as Since;

/** Sorts the earlier one first, and one that is not known last. */
export function bySince(a: Since | undefined, b: Since | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
  return a < b ? -1 : 1;
}
