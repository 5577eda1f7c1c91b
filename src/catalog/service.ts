import type { Map as PersistentMap } from 'immutable';
import type { Allowed } from '../model/allowance.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Policy } from '../model/policy.ts';
import type { ServiceState } from '../model/route-target.ts';
import type { Numbers } from './numbers.ts';
import type { Since } from './since.ts';

export type Service = {
  readonly name: ServiceName;
  readonly policy: Policy;
  /** False when `policy` is the default because the service has none. */
  readonly declared: boolean;
  /** Since when it has a policy without a break; undefined while it has none. */
  readonly since: Since | undefined;
  /** The claims that operators allow it. */
  readonly allowed: Allowed;
  /** As their registrations say. */
  readonly registered: PersistentMap<InstanceId, Instance>;
  /** As they should be served: those that are registered, under the operators' overrides. The same map where none counts. */
  readonly instances: PersistentMap<InstanceId, Instance>;
  readonly numbers: Numbers;
  /** The override that keeps requests from it. The service is then there even without a policy and instances. */
  readonly suspended: ServiceState | undefined;
};
