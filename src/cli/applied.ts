import { type Awaited, type BarrierState, describeObstacle } from '../fleet/barrier.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Revision } from '../model/revision.ts';

/** An entry that was written, and the instances that it concerns. */
export type Written = {
  readonly revision: Revision;
  readonly service: ServiceName;
  readonly ids: readonly InstanceId[];
};

/** How far the fleet is with it: who has applied it, and who has not, and why. */
export type FleetProgress = {
  readonly balancers: readonly string[];
  readonly missing: readonly { readonly balancer: string; readonly why: string }[];
};

/**
 * Resolves when every live balancer has applied it (of a pause: when requests wait), or with how far they are when `signal`
 * aborts. Never rejects.
 */
export async function applied(
  fleet: Fleet,
  written: Written,
  goal: 'gone' | 'paused',
  signal: AbortSignal,
  onProgress: (now: FleetProgress) => void,
): Promise<FleetProgress> {
  const awaited: Awaited =
    goal === 'gone' ? { ...written, goal, id: written.ids[0] } : { ...written, goal, id: undefined };
  return summary([await fleet.wait(awaited, signal, (verdict) => onProgress(summary([verdict])))]);
}

/** The same, until none of their requests is open either. */
export async function drained(
  fleet: Fleet,
  written: Written,
  signal: AbortSignal,
  onProgress: (now: FleetProgress) => void,
): Promise<FleetProgress> {
  const verdicts = new Map<InstanceId, BarrierState>();
  await Promise.all(
    written.ids.map(async (id) => {
      const awaited: Awaited = { ...written, goal: 'drained', id };
      await fleet.wait(awaited, signal, (verdict) => {
        verdicts.set(id, verdict);
        onProgress(summary([...verdicts.values()]));
      });
    }),
  );
  return summary([...verdicts.values()]);
}

function summary(verdicts: readonly BarrierState[]): FleetProgress {
  const missing = new Map<string, string>();
  const balancers = new Set<string>();
  for (const verdict of verdicts) {
    if (verdict.kind === 'unheard') missing.set('the registry', verdict.reason);
    if (verdict.kind === 'unheard' || verdict.kind === 'nobody') continue;
    for (const balancer of verdict.reached) balancers.add(balancer);
    if (verdict.kind === 'waiting') {
      for (const { balancer, obstacle } of verdict.missing) missing.set(balancer, describeObstacle(obstacle));
    }
  }
  for (const balancer of missing.keys()) balancers.delete(balancer);
  return {
    balancers: [...balancers].sort(),
    missing: [...missing].sort().map(([balancer, why]) => ({ balancer, why })),
  };
}

/** `lb-1 is at revision 5; lb-2 has 3 open requests`, at most five of them. */
export function describeNotApplied({ missing }: FleetProgress): string {
  const few = missing.slice(0, 5).map(({ balancer, why }) => `${balancer} ${why}`);
  return [...few, ...(missing.length > 5 ? [`and ${missing.length - 5} more`] : [])].join('; ');
}
