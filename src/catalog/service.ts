import type { Map as PersistentMap } from 'immutable';
import type { Allowed } from '../model/allowance.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Policy } from '../model/policy.ts';
import type { ServiceState } from '../model/service-state.ts';
import type { Numbers } from './numbers.ts';
import type { Since } from './since.ts';

export type Service = {
  readonly name: ServiceName;
  readonly policy: Policy;
  /** False when `policy` is the default because nobody declared one. */
  readonly declared: boolean;
  /** Since when it has a policy without a break; undefined while it has none. */
  readonly since: Since | undefined;
  /** What operators let it claim. */
  readonly allowed: Allowed;
  /** As their registrations say. */
  readonly registered: PersistentMap<InstanceId, Instance>;
  /** As they should be served: those that are registered, under the operators' overrides. The same map where none counts. */
  readonly instances: PersistentMap<InstanceId, Instance>;
  readonly numbers: Numbers;
  /** What an operator's override keeps requests from it with; it is then there even if nothing else says so. */
  readonly suspended: ServiceState | undefined;
};
