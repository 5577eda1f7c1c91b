import { balancerKey, instanceKey } from '../model/key.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';

/** The task of a user of the registry. */
export type Role =
  /** Announces instances of one service. */
  | { readonly kind: 'register'; readonly service: ServiceName }
  /** Follows the tree, and writes which revision it serves. */
  | { readonly kind: 'balancer'; readonly id: string }
  /** A person, or a deploy script: policies, overrides, claims, releases. */
  | { readonly kind: 'operator' }
  /** Looks, and changes nothing. */
  | { readonly kind: 'reader' };

/** Access to one key, or to all that begin with it. Keys are relative to the root. */
export type Permission = { readonly access: 'read' | 'readwrite'; readonly key: string; readonly prefix: boolean };

/** The least permissions that a role needs. A user with two roles needs both. */
export function permissionsOf(role: Role): readonly Permission[] {
  const everything: Permission = { access: 'read', key: '', prefix: true };
  switch (role.kind) {
    case 'register':
      return [
        // Read as well: whether another process holds the key, and whether it is still there.
        { access: 'readwrite', key: instanceKey(role.service, ''), prefix: true },
        // It leaves when every balancer has acknowledged.
        { access: 'read', key: 'balancers/', prefix: true },
      ];
    case 'balancer':
      return [
        everything,
        { access: 'readwrite', key: balancerKey(role.id), prefix: false },
        // While another balancer has that one. No id has a colon.
        { access: 'readwrite', key: `${balancerKey(role.id)}:`, prefix: true },
      ];
    case 'operator':
      return [
        everything,
        // `waits/` marks the moment from which `pointsman wait --gone` waits.
        ...['services/', 'overrides/', 'claims/', 'releases/', 'waits/'].map((key) => ({
          access: 'readwrite' as const,
          key,
          prefix: true,
        })),
      ];
    case 'reader':
      return [everything];
  }
}

/** Reads `register/SERVICE`, `balancer/ID`, `operator` or `reader`. */
export function parseRole(text: string): Parsed<Role> {
  const [kind, name, ...rest] = text.split('/');
  if (rest.length === 0) {
    if ((kind === 'operator' || kind === 'reader') && name === undefined) return accepted({ kind });
    if (kind === 'register' && name !== undefined) {
      const service = parseServiceName(name);
      return service.ok ? accepted({ kind, service: service.value }) : service;
    }
    if (kind === 'balancer' && name !== undefined) {
      return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)
        ? accepted({ kind, id: name })
        : rejected(
            `${quote(name)} is not the --id of a balancer: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`,
          );
    }
  }
  return rejected(`${quote(text)} is not one of register/SERVICE, balancer/ID, operator, reader`);
}

/** The user of a role, named by the root too, so that several trees can share a cluster: `pointsman-register-web`. */
export function userOf(root: string, role: Role): string {
  const tree = root.split('/').filter(Boolean).join('-');
  switch (role.kind) {
    case 'register':
      return `${tree}-register-${role.service}`;
    case 'balancer':
      return `${tree}-balancer-${role.id}`;
    case 'operator':
    case 'reader':
      return `${tree}-${role.kind}`;
  }
}
