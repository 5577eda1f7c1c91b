import type { Refusal } from '../../fleet/acknowledgement.ts';
import { allInstancesKey, instanceKey, policyKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import { sameSection } from '../../render/template.ts';

// A service with more unserved instances is named as a whole.
const mostOfOneService = 10;

/**
 * The keys that HAProxy does not serve as desired: instances (`*` for all of a service), and services whose policy is not in force.
 * `waiting`: services whose routes are not in force, or that are gone and still have servers.
 */
export function unservedKeys(
  desired: Rendered,
  served: Rendered,
  reasonOf: (service: ServiceName) => string,
  waiting: ReadonlySet<ServiceName> = new Set(),
): readonly Refusal[] {
  const refusals: Refusal[] = [];
  for (const [name, wanted] of desired.backends) {
    const reason = reasonOf(name);
    const all = { key: allInstancesKey(name), reason };
    const has = served.backends.get(name);
    if (has === undefined) {
      refusals.push({ ...all, absent: true });
      continue;
    }
    if (waiting.has(name) || !sameSection(has.section, wanted.section)) refusals.push({ key: policyKey(name), reason });
    if (has.servers === wanted.servers) continue;
    const own: Refusal[] = [];
    for (const [id, line] of wanted.servers) {
      if (has.servers.get(id) !== line) own.push({ key: instanceKey(name, id), reason });
    }
    for (const id of has.servers.keys()) {
      if (!wanted.servers.has(id)) own.push({ key: instanceKey(name, id), reason });
    }
    refusals.push(...(own.length > mostOfOneService ? [all] : own));
  }
  for (const name of waiting) {
    if (desired.backends.has(name) || served.backends.get(name)?.servers.isEmpty() !== false) continue;
    refusals.push({ key: allInstancesKey(name), reason: reasonOf(name) });
  }
  return refusals;
}
