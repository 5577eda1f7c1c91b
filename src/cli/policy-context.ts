import { readOwnership } from '../apply/ownership.ts';
import { setOfLabels } from '../container-policies/choose-policies.ts';
import type { ServiceName } from '../model/name.ts';
import type { SetName } from '../model/set-name.ts';
import type { Entry, Registry } from '../registry/registry.ts';
import type { PolicySettings } from '../settings/policy.ts';
import type { Invocation } from './invocation.ts';
import { warn } from './outputs.ts';

/** What each action of `pointsman policy` gets. */
export type PolicyContext = {
  readonly invocation: Invocation;
  readonly settings: PolicySettings;
  readonly registry: Registry;
  readonly service: ServiceName;
  readonly key: string;
};

type ReadPolicy = {
  /** Undefined: the service has the default policy. */
  readonly entry: Entry | undefined;
  /** The set of `pointsman apply` that owns it. */
  readonly owner: SetName | undefined;
};

/** The policy in the registry, and the set that owns it. Rejects with a Fault. */
export async function readPolicy(registry: Registry, key: string): Promise<ReadPolicy> {
  const [policies, records] = await Promise.all([registry.read(key), registry.read('sets/')]);
  const ownership = readOwnership(records.entries);
  return {
    entry: policies.entries.find((entry) => entry.key === key),
    owner: ownership.ok ? ownership.value.ownerOf(key) : undefined,
  };
}

/** Tells who writes the policy again after a person changed it. */
export const ownedBy = (key: string, set: SetName): string =>
  set === setOfLabels
    ? `the labels of containers own ${key}: the agents of register --containers restore it within a minute, so change the labels instead, or take it over with pointsman apply --set NAME --take`
    : `the set ${set} owns ${key}: the next pointsman apply --set ${set} writes what its files declare, so change them as well`;

/** Warns, if a set of `pointsman apply` owns the policy, that its next apply restores the split of its files. */
export async function warnOfOwner(registry: Registry, key: string): Promise<void> {
  const { owner } = await readPolicy(registry, key);
  if (owner === undefined) return;
  warn(
    owner === setOfLabels
      ? ownedBy(key, owner)
      : `the set ${owner} owns ${key}: the next pointsman apply --set ${owner}, or the one that runs with --watch, restores the split of its files; stop it meanwhile, and write the new split into the files`,
  );
}
