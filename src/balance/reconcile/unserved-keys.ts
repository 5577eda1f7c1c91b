import type { Refusal } from '../../fleet/acknowledgement.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import { sameSection } from '../../render/template.ts';

// More than these of one service, and all of it is named instead.
const mostOfOneService = 10;

/**
 * The instances that HAProxy should serve and does not, or otherwise than it should (`*` for all of a service), and the
 * services whose policy is not in force as it is asked for. `waiting`: services whose routes are not, or that are gone and still have
 * servers.
 */
export function unserved(
  desired: Rendered,
  served: Rendered,
  reasonOf: (service: ServiceName) => string,
  waiting: ReadonlySet<ServiceName> = new Set(),
): readonly Refusal[] {
  const refusals: Refusal[] = [];
  for (const [name, wanted] of desired.backends) {
    const reason = reasonOf(name);
    const all = { key: `instances/${name}/*`, reason };
    const has = served.backends.get(name);
    if (has === undefined) {
      refusals.push({ ...all, absent: true });
      continue;
    }
    if (waiting.has(name) || !sameSection(has.section, wanted.section))
      refusals.push({ key: `services/${name}`, reason });
    if (has.servers === wanted.servers) continue;
    const own: Refusal[] = [];
    for (const [id, line] of wanted.servers) {
      if (has.servers.get(id) !== line) own.push({ key: `instances/${name}/${id}`, reason });
    }
    for (const id of has.servers.keys()) {
      if (!wanted.servers.has(id)) own.push({ key: `instances/${name}/${id}`, reason });
    }
    refusals.push(...(own.length > mostOfOneService ? [all] : own));
  }
  for (const name of waiting) {
    if (desired.backends.has(name) || served.backends.get(name)?.servers.isEmpty() !== false) continue;
    refusals.push({ key: `instances/${name}/*`, reason: reasonOf(name) });
  }
  return refusals;
}
