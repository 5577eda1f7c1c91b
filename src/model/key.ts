import type { AllowanceTarget } from './allowance.ts';
import { type InstanceId, parseInstanceId, parseServiceName, type ServiceName } from './name.ts';
import type { OverrideScope } from './override.ts';
import { accepted, type Parsed, quote, refused } from './parsed.ts';

/** What a key under the root is about. */
export type KeySubject =
  | { readonly kind: 'instance'; readonly service: ServiceName; readonly id: InstanceId }
  | { readonly kind: 'policy'; readonly service: ServiceName }
  | { readonly kind: 'override'; readonly service: ServiceName; readonly scope: OverrideScope }
  | { readonly kind: 'allowance'; readonly service: AllowanceTarget }
  /** Not the catalog's: `balancers/`, `releases/`, `waits/`, `keys/`. */
  | { readonly kind: 'other' };

const other: KeySubject = { kind: 'other' };
const otherAreas: readonly (string | undefined)[] = ['balancers', 'releases', 'waits', 'keys'];

/**
 * Reads a key relative to the root: `instances/<service>/<instance>`, `services/<service>`, `overrides/<service>/<instance>`,
 * `overrides/<service>/*`, `claims/<service>` or `claims/*`.
 */
export function parseKey(key: string): Parsed<KeySubject> {
  const [area, serviceText, idText, ...rest] = key.split('/');
  if (otherAreas.includes(area)) return accepted(other);
  if (area === 'instances' && serviceText !== undefined && idText !== undefined && rest.length === 0) {
    const service = parseServiceName(serviceText);
    if (!service.ok) return service;
    const id = parseInstanceId(idText);
    return id.ok ? accepted({ kind: 'instance', service: service.value, id: id.value }) : id;
  }
  if (area === 'services' && serviceText !== undefined && idText === undefined) {
    const service = parseServiceName(serviceText);
    return service.ok ? accepted({ kind: 'policy', service: service.value }) : service;
  }
  if (area === 'overrides' && serviceText !== undefined && idText !== undefined && rest.length === 0) {
    const service = parseServiceName(serviceText);
    if (!service.ok) return service;
    if (idText === '*') return accepted({ kind: 'override', service: service.value, scope: '*' });
    const id = parseInstanceId(idText);
    return id.ok ? accepted({ kind: 'override', service: service.value, scope: id.value }) : id;
  }
  if (area === 'claims' && serviceText !== undefined && idText === undefined) {
    if (serviceText === '*') return accepted({ kind: 'allowance', service: '*' });
    const service = parseServiceName(serviceText);
    return service.ok ? accepted({ kind: 'allowance', service: service.value }) : service;
  }
  return refused(
    `${quote(key)} is none of instances/<service>/<instance>, services/<service>, overrides/<service>/<instance or *>, claims/<service or *>`,
  );
}
