import { Fault } from '../model/fault.ts';
import { parseInstanceId, parseServiceName, type ServiceName } from '../model/name.ts';
import type { OverrideTarget } from '../model/override.ts';

/** Reads the name of a service. Throws Fault `usage`. */
export function readService(text = ''): ServiceName {
  const service = parseServiceName(text);
  if (!service.ok) throw new Fault('usage', service.reason);
  return service.value;
}

/** Reads `web` (all of the service) or `web/web-1`. Throws Fault `usage`. */
export function parseTarget(text: string): OverrideTarget {
  const slash = text.indexOf('/');
  const service = readService(slash === -1 ? text : text.slice(0, slash));
  const scope = slash === -1 ? undefined : text.slice(slash + 1);
  if (scope === undefined || scope === '*') return { service, scope: '*' };
  const id = parseInstanceId(scope);
  if (!id.ok) throw new Fault('usage', id.reason);
  return { service, scope: id.value };
}

/** The target as one types it: `web`, `web/web-1`. */
export function nameOf({ service, scope }: OverrideTarget): string {
  return scope === '*' ? service : `${service}/${scope}`;
}
