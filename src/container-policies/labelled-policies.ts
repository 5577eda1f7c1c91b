import type { Container } from '../engine/container.ts';
import type { Fault } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import type { AskedPolicy, ContainerPolicy } from './choose-policies.ts';
import { ContainerPolicies, type ContainerPoliciesParts } from './container-policies.ts';
import { readPolicyLabels } from './label-policy-text.ts';

/** Long enough for a container that is made again. */
const graceMs = 30_000;

/** The policies that the labels of containers ask for, as the agent of an engine tells them. */
export function openLabelledPolicies(parts: Omit<ContainerPoliciesParts, 'graceMs'>): {
  readonly read: (container: Container) => {
    readonly asked: readonly AskedPolicy[];
    readonly problems: readonly Fault[];
  };
  readonly update: (asked: readonly ContainerPolicy[]) => void;
  readonly isSettled: (service: ServiceName) => boolean;
  readonly whenSettled: (listener: () => void) => void;
  readonly state: () => ContainerPolicies['state'];
  readonly close: () => Promise<void>;
} {
  const policies = new ContainerPolicies({ ...parts, graceMs });
  return {
    read: readPolicyLabels,
    update: (asked) => policies.update(asked),
    isSettled: (service) => policies.isSettled(service),
    whenSettled: (listener) => policies.whenSettled(listener),
    state: () => policies.state,
    close: () => policies.close(),
  };
}
