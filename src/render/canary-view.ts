import type { Service } from '../catalog/service.ts';
import { takesPart } from '../catalog/split.ts';
import type { InstanceId } from '../model/name.ts';

/** The rules of a backend for the requests of the policy's `canary`. */
export type CanaryView = {
  readonly canaryHeader: string | undefined;
  readonly canaryCookie: string | undefined;
  readonly canaryValue: string;
  readonly count: number;
  /** The instances of the version, each with the random number for which it is chosen. */
  readonly slots: readonly { readonly slot: number; readonly slotId: InstanceId }[];
};

export const canaryNames = [
  ...(['canary', 'canaryHeader', 'canaryCookie', 'canaryValue', 'count', 'slots', 'slot', 'slotId'] as const),
] as const;

// Each instance is two rules, which HAProxy tries one after the other.
const mostSlots = 32;

/** `service`: before its split sets the weights, because the version may have no share of it. */
export function canaryView({ policy, instances }: Pick<Service, 'policy' | 'instances'>): CanaryView | undefined {
  const { canary } = policy;
  if (canary === undefined) return undefined;
  const ids = [...instances.values()]
    .filter((instance) => instance.version === canary.version && takesPart(instance))
    .map(({ id }) => id)
    .sort()
    .slice(0, mostSlots);
  if (ids.length === 0) return undefined;
  const { kind, name, value } = canary.by;
  return {
    canaryHeader: kind === 'header' ? name : undefined,
    canaryCookie: kind === 'cookie' ? name : undefined,
    canaryValue: value,
    count: ids.length,
    slots: ids.map((slotId, slot) => ({ slot, slotId })),
  };
}
