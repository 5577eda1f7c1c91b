import { balancersOf } from '../../fleet/fleet-view.ts';
import type { Registry } from '../../registry/registry.ts';
import { timeLimit } from '../../waiting/time-limit.ts';

/** A balancer of the fleet, as its acknowledgement describes it. */
export type FleetMember = {
  readonly id: string;
  /** The revision that it serves. A number, because a page can subtract it, and 2^53 revisions take long enough. */
  readonly revision: number;
  readonly haproxyVersion: string;
  /** pointsman's own. */
  readonly version: string;
  /** The same for balancers with the same templates. */
  readonly config: string;
  /** The address of its admin port; undefined when only its own machine can reach it. */
  readonly admin: string | undefined;
  /** How many entries it does not serve as they are written. */
  readonly refusals: number;
  /** Why the acknowledgement cannot be read. */
  readonly problem: string | undefined;
};

const readMs = 1500;
const unread = { revision: 0, haproxyVersion: '', version: '', config: '', admin: undefined, refusals: 0 };

/** Reads the balancers that have an acknowledgement. Rejects when the registry does not answer. */
export async function readFleet(registry: Registry): Promise<readonly FleetMember[]> {
  const { entries } = await registry.read('balancers/', timeLimit(readMs));
  return [...balancersOf(entries)]
    .map(([id, says]) =>
      says.ok
        ? {
            id,
            revision: Number(says.value.revision),
            haproxyVersion: says.value.haproxyVersion,
            version: says.value.version,
            config: says.value.config,
            admin: says.value.admin,
            refusals: says.value.refusals.length,
            problem: undefined,
          }
        : { ...unread, id, problem: says.reason },
    )
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}
