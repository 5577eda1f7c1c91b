import { isToken } from './acme/challenge.ts';
import type { ClaimTarget } from './claim.ts';
import { type InstanceId, parseInstanceId, parseServiceName, type ServiceName } from './name.ts';
import type { OverrideScope } from './override.ts';
import { accepted, type Parsed, quote, rejected } from './parsed.ts';
import type { SetName } from './set-name.ts';

/** The subject of a key under the root. */
export type KeySubject =
  | { readonly kind: 'instance'; readonly service: ServiceName; readonly id: InstanceId }
  | { readonly kind: 'policy'; readonly service: ServiceName }
  | { readonly kind: 'override'; readonly service: ServiceName; readonly scope: OverrideScope }
  | { readonly kind: 'claim'; readonly service: ClaimTarget }
  | { readonly kind: 'challenge'; readonly token: string }
  /** No part of the catalog: `balancers/`, `releases/`, `waits/`, `keys/`, `labels/`, `sets/`, `certificates/`, `acme/`. */
  | { readonly kind: 'other' };

/** The key of an instance's registration. */
export const instanceKey = (service: string, id: string) => `instances/${service}/${id}` as const;

/** Names all instances of a service in a list of keys. No entry has this key. */
export const allInstancesKey = (service: string) => `instances/${service}/*` as const;

/** The key of a service's policy. */
export const policyKey = (service: string) => `services/${service}` as const;

/** The key of an override; `*` is the whole service. */
export const overrideKey = (service: ServiceName, scope: OverrideScope): string => `overrides/${service}/${scope}`;

/** The key of a balancer's acknowledgement. */
export const balancerKey = (id: string): string => `balancers/${id}`;

/** The key that an operator writes to release a service, or everything. */
export const releaseKey = (service: ServiceName | '*'): string => `releases/${service}`;

/** The key of a part of the record of a set: which entries it owns. */
export const setKey = (set: SetName, part: number): string => `sets/${set}/${part}`;

/** The first part of a key: `instances` of `instances/web/a`. */
export function areaOfKey(key: string): string {
  const end = key.indexOf('/');
  return end === -1 ? key : key.slice(0, end);
}

/** The second part of a key: `web` of `instances/web/a` and of `services/web`. Undefined: the key has one part. */
export function serviceOfKey(key: string): string | undefined {
  const begin = key.indexOf('/') + 1;
  if (begin === 0) return undefined;
  const end = key.indexOf('/', begin);
  return end === -1 ? key.slice(begin) : key.slice(begin, end);
}

const other: KeySubject = { kind: 'other' };
const otherAreas: readonly (string | undefined)[] = [
  'balancers',
  'releases',
  'waits',
  'keys',
  'labels',
  'sets',
  'certificates',
  'acme',
];

/**
 * Reads a key relative to the root: `instances/<service>/<instance>`, `services/<service>`, `overrides/<service>/<instance>`,
 * `overrides/<service>/*`, `claims/<service>`, `claims/*` or `challenges/<token>`.
 */
export function parseKey(key: string): Parsed<KeySubject> {
  const [area, serviceText, idText, ...rest] = key.split('/');
  if (area === 'challenges' && serviceText !== undefined) {
    return idText === undefined && isToken(serviceText)
      ? accepted({ kind: 'challenge', token: serviceText })
      : rejected(`${quote(key)} is not challenges/<token>: 1 to 256 of A-Z a-z 0-9 _ -`);
  }
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
    if (serviceText === '*') return accepted({ kind: 'claim', service: '*' });
    const service = parseServiceName(serviceText);
    return service.ok ? accepted({ kind: 'claim', service: service.value }) : service;
  }
  return rejected(
    `${quote(key)} is not one of instances/<service>/<instance>, services/<service>, overrides/<service>/<instance or *>, claims/<service or *>`,
  );
}
