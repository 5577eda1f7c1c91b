import { balancerKey, instanceKey } from '../model/key.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { parseSetName, type SetName } from '../model/set-name.ts';

/** The task of a user of the registry. */
export type Role =
  /** Announces instances of one service. */
  | { readonly kind: 'register'; readonly service: ServiceName }
  /** Announces the labelled containers of a machine, whatever their services are, and writes the policies of their labels. */
  | { readonly kind: 'containers' }
  /** Follows the tree, and writes which revision it serves; with `acme` also orders certificates. */
  | { readonly kind: 'balancer'; readonly id: string; readonly acme: boolean }
  /** A person, or a deploy script: policies, overrides, claims, releases. */
  | { readonly kind: 'operator' }
  /** Applies files as one set. It may write keys that begin with one of the prefixes. */
  | { readonly kind: 'apply'; readonly set: SetName; readonly prefixes: readonly string[] }
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
    case 'containers':
      return [
        { access: 'read', key: 'balancers/', prefix: true },
        // Whose a policy is.
        { access: 'read', key: 'sets/', prefix: true },
        ...['instances/', 'labels/', 'services/', 'sets/containers/'].map((key) => ({
          access: 'readwrite' as const,
          key,
          prefix: true,
        })),
      ];
    case 'balancer':
      return [
        everything,
        { access: 'readwrite', key: balancerKey(role.id), prefix: false },
        // While another balancer has that one. No id has a colon.
        { access: 'readwrite', key: `${balancerKey(role.id)}:`, prefix: true },
        // Any of them may be the one that orders certificates.
        ...(role.acme ? writable('acme/', 'challenges/', 'certificates/') : []),
      ];
    case 'operator':
      return [
        everything,
        // `waits/` marks the moment from which `pointsman wait --gone` waits.
        ...writable('services/', 'overrides/', 'claims/', 'releases/', 'waits/', 'sets/'),
        // To replace a certificate by hand, and for `pointsman certificates --renew`. Not the account of the authority.
        ...writable('certificates/', 'acme/renewals/'),
      ];
    case 'apply':
      return [
        // Whose a key is, what it has, and who has acknowledged it. Values under `keys/` may be secrets of others.
        ...['balancers/', 'sets/', 'services/', 'claims/', 'instances/', 'overrides/'].map((key) => ({
          access: 'read' as const,
          key,
          prefix: true,
        })),
        ...writable(`sets/${role.set}/`, ...role.prefixes),
      ];
    case 'reader':
      return [everything];
  }
}

const writable = (...prefixes: readonly string[]): readonly Permission[] =>
  prefixes.map((key) => ({ access: 'readwrite', key, prefix: true }));

/** What a set may declare, if its role names no prefixes. */
const declarable = ['services/', 'claims/', 'instances/', 'overrides/', 'keys/'];

/** Reads `apply/SET`, or `apply/SET=PREFIX,PREFIX`: `apply/shop=services/shop-,keys/shop/`. */
function parseApply(text: string): Parsed<Role> {
  const equals = text.indexOf('=');
  const set = parseSetName(equals === -1 ? text : text.slice(0, equals));
  if (!set.ok) return set;
  const prefixes = equals === -1 ? declarable : text.slice(equals + 1).split(',');
  const strange = prefixes.find(
    (prefix) => !/^(services|claims|instances|overrides|keys)\/[A-Za-z0-9._:*@+/-]*$/.test(prefix),
  );
  return strange === undefined
    ? accepted({ kind: 'apply', set: set.value, prefixes })
    : rejected(`${quote(strange)} is not the beginning of a key, such as services/shop-`);
}

/** Reads `register/SERVICE`, `containers`, `balancer/ID`, `apply/SET`, `operator` or `reader`. */
export function parseRole(text: string): Parsed<Role> {
  if (text.startsWith('apply/')) return parseApply(text.slice('apply/'.length));
  const [kind, name, ...rest] = text.split('/');
  if (rest.length === 0) {
    if ((kind === 'operator' || kind === 'reader' || kind === 'containers') && name === undefined) {
      return accepted({ kind });
    }
    if (kind === 'register' && name !== undefined) {
      const service = parseServiceName(name);
      return service.ok ? accepted({ kind, service: service.value }) : service;
    }
    if (kind === 'balancer' && name !== undefined) {
      return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)
        ? accepted({ kind, id: name, acme: false })
        : rejected(
            `${quote(name)} is not the --id of a balancer: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`,
          );
    }
  }
  return rejected(
    `${quote(text)} is not one of register/SERVICE, containers, balancer/ID, apply/SET, operator, reader`,
  );
}

/** The user of a role, named by the root too, so that several trees can share a cluster: `pointsman-register-web`. */
export function userOf(root: string, role: Role): string {
  const tree = root.split('/').filter(Boolean).join('-');
  switch (role.kind) {
    case 'register':
      return `${tree}-register-${role.service}`;
    case 'balancer':
      return `${tree}-balancer-${role.id}`;
    case 'apply':
      return `${tree}-apply-${role.set}`;
    case 'operator':
    case 'reader':
    case 'containers':
      return `${tree}-${role.kind}`;
  }
}
