import type { Container } from '../engine/container.ts';
import type { Fault } from '../model/fault.ts';
import { ContainerPolicies, type ContainerPoliciesParts } from './container-policies.ts';
import { readPolicyLabels } from './label-policy-text.ts';

/** Long enough for a container that is made again. */
const graceMs = 30_000;

/** The policies that the labels of containers ask for, as the agent of an engine tells them. */
export function openLabelledPolicies(parts: Omit<ContainerPoliciesParts, 'graceMs'>): {
  readonly update: (containers: readonly Container[]) => void;
  readonly problemsOf: (container: Container) => readonly Fault[];
  readonly state: () => ContainerPolicies['state'];
  readonly close: () => Promise<void>;
} {
  const policies = new ContainerPolicies({ ...parts, graceMs });
  return {
    update: (containers) => policies.update(containers.flatMap((one) => readPolicyLabels(one).asked)),
    problemsOf: (container) => readPolicyLabels(container).problems,
    state: () => policies.state,
    close: () => policies.close(),
  };
}
