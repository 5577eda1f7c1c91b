import { balancersOf } from '../../fleet/fleet-view.ts';
import type { Registry } from '../../registry/registry.ts';

/** A balancer of the fleet, as its acknowledgement describes it. */
export type FleetMember = {
  readonly id: string;
  /** The revision that it serves. A number, because a page can subtract it, and 2^53 revisions take long enough. */
  readonly revision: number;
  readonly haproxyVersion: string;
  /** How many entries it does not serve as they are written. */
  readonly refusals: number;
  /** Why the acknowledgement cannot be read. */
  readonly problem: string | undefined;
};

const readMs = 1500;

/** Reads the balancers that have an acknowledgement. Rejects when the registry does not answer. */
export async function readFleet(registry: Registry): Promise<readonly FleetMember[]> {
  const { entries } = await registry.read('balancers/', AbortSignal.timeout(readMs));
  return [...balancersOf(entries)]
    .map(([id, says]) =>
      says.ok
        ? {
            id,
            revision: Number(says.value.revision),
            haproxyVersion: says.value.haproxyVersion,
            refusals: says.value.refusals.length,
            problem: undefined,
          }
        : { id, revision: 0, haproxyVersion: '', refusals: 0, problem: says.reason },
    )
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}
