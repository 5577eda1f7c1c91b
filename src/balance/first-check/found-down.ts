import { isChecked, isServing } from '../../haproxy/newcomers.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';

/**
 * The servers that a worker of an earlier run checks and finds down. Whether they have ever passed a check is unknown: only the earlier
 * process knew it.
 */
export function foundDown(
  { backends }: Pick<Rendered, 'backends'>,
  states: RunningState['servers'],
): ReadonlyMap<ServiceName, readonly InstanceId[]> {
  const down = new Map<ServiceName, readonly InstanceId[]>();
  for (const [service, { servers }] of backends) {
    const known = states.get(service);
    if (known === undefined) continue;
    const ids: InstanceId[] = [];
    for (const [id, line] of servers) {
      if (known.get(id)?.up === false && isServing(line) && isChecked(line)) ids.push(id);
    }
    if (ids.length > 0) down.set(service, ids);
  }
  return down;
}
