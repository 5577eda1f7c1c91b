import type { ServiceName } from '../model/name.ts';
import type { DesiredState } from './next-desired.ts';

/**
 * - `announced`: it is in the registry.
 * - `pending`: the registry has not confirmed yet what it should be.
 * - `refused`: the registry, or another process that has its key, does not allow that.
 * - `draining`: it is in the registry and takes no new requests, because its health check fails.
 * - `waiting`: its health check does not pass, so it is not in the registry.
 * - `leaving`: it leaves for good.
 */
export const registrationStates = ['announced', 'pending', 'refused', 'draining', 'waiting', 'leaving'] as const;

/** An instance as its process sees it. */
export type RegistrationState = {
  /** `service/id`. */
  readonly name: string;
  readonly service: ServiceName;
  readonly state: (typeof registrationStates)[number];
  /** Why it is refused, or waits. */
  readonly reason: string | undefined;
};

type Facts = {
  readonly desired: DesiredState;
  /** Whether the registry has it like that. */
  readonly applied: boolean;
  /** The last refusal of the registry, until something changes. */
  readonly refusal: string | undefined;
  /** The process that has its key. */
  readonly otherOwner: string | undefined;
  /** The result of its last health check that failed. */
  readonly unhealthy: string | undefined;
};

export function stateOf(facts: Facts): Pick<RegistrationState, 'state' | 'reason'> {
  const { desired, applied, unhealthy } = facts;
  const refusal = facts.refusal ?? (applied ? undefined : facts.otherOwner);
  if (refusal !== undefined) return { state: 'refused', reason: refusal };
  switch (desired) {
    case 'announced':
      return { state: applied ? 'announced' : 'pending', reason: undefined };
    case 'drained':
      return { state: applied ? 'draining' : 'pending', reason: unhealthy };
    case 'withdrawn':
      return { state: 'waiting', reason: unhealthy };
    case 'gone':
    case 'dropped':
      return { state: 'leaving', reason: undefined };
  }
}
