import type { Catalog } from '../catalog/catalog.ts';
import { isBeforeVersion } from '../haproxy/known-faults.ts';
import { type Conflict, describeConflict } from '../render/conflict.ts';

/** Notes on well-formed entries whose effect may surprise, a line each. `haproxy`: the version that was asked; undefined: none was. */
export function entryNotes(
  { services }: Pick<Catalog, 'services'>,
  conflicts: readonly Conflict[],
  haproxy: string | undefined,
): readonly string[] {
  const ignored =
    haproxy === undefined || !isBeforeVersion(haproxy, '2.9')
      ? []
      : [...services.values()].filter(({ policy }) => policy.mode === 'http' && policy.timeouts.clientMs !== undefined);
  const unverifiable = [...services.values()].filter(({ policy }) => policy.auth?.jwt?.algorithm.startsWith('PS'));
  return [
    ...conflicts.map(describeAsk),
    ...(haproxy !== undefined && isBeforeVersion(haproxy, '3.0') ? unverifiable : []).map(
      ({ name }) =>
        `${name}: auth.jwt with PS256, PS384 or PS512 needs HAProxy 3.0 or later; requests are answered with 503`,
    ),
    ...circles(services),
    ...ignored.map(({ name }) => `${name}: timeouts.client of an http service needs HAProxy 2.9 or later`),
  ].sort();
}

/** Services whose authentication asks a service that asks another one in turn: each of their requests gets status 508. */
function circles(services: Catalog['services']): readonly string[] {
  return [...services.values()].flatMap(({ name, policy }) => {
    const asked = policy.auth?.forward?.service;
    if (asked === undefined || services.get(asked)?.policy.auth?.forward === undefined) return [];
    return [`${name}: auth.forward asks ${asked}, which asks another service itself, so each request gets status 508`];
  });
}

/** The age of a policy decides between two services, and files do not show it. */
function describeAsk(conflict: Conflict): string {
  if ((conflict.kind !== 'route' && conflict.kind !== 'port') || conflict.winner === undefined)
    return describeConflict(conflict);
  if (conflict.because === 'own-name') return describeConflict(conflict);
  const more = conflict.kind === 'route' && conflict.more > 0 ? ` and ${conflict.more} more` : '';
  const what = conflict.kind === 'port' ? `the port ${conflict.port}` : `the route ${conflict.route}${more}`;
  const both = [conflict.winner, conflict.loser].sort().join(' and ');
  return `${both} ask for ${what}: the service whose policy is older gets it`;
}
