import { type Acknowledgement, formatAcknowledgement } from '../../src/fleet/acknowledgement.ts';
import { type Awaited, describeObstacle, evaluateBarrier } from '../../src/fleet/barrier.ts';
import { emptyFleet, type FleetView, foldFleet } from '../../src/fleet/fleet-view.ts';
import { parseInstanceId, parseServiceName } from '../../src/model/name.ts';
import { revision } from '../../src/model/revision.ts';
import type { Change, Entry, RegistryEvent } from '../../src/registry/registry.ts';

export const service = parsed(parseServiceName('web'));
export const id = parsed(parseInstanceId('a'));

export function parsed<T>(result: { ok: true; value: T } | { ok: false; reason: string }): T {
  if (!result.ok) throw new Error(result.reason);
  return result.value;
}

export const value = (change: Partial<Acknowledgement> = {}): string =>
  formatAcknowledgement({
    revision: revision(10n),
    cluster: 'c',
    owner: 'o',
    version: '1',
    haproxyVersion: '2.6',
    config: 'x',
    admin: undefined,
    appliedAt: 'now',
    draining: new Map(),
    refusals: [],
    unproven: new Map(),
    unrouted: new Map(),
    conflicts: new Map(),
    untold: new Map(),
    unlisted: new Map(),
    ...change,
  });

export const entry = (key: string, text: string, leased = true): Entry => ({
  key,
  value: text,
  revision: revision(1n),
  leased,
});
export const snapshot = (values: Record<string, string>, cluster = 'c'): RegistryEvent => ({
  kind: 'snapshot',
  history: { kind: 'first' },
  revision: revision(20n),
  cluster,
  entries: new Map(
    Object.entries(values).map(([name, text]) => [`balancers/${name}`, entry(`balancers/${name}`, text)]),
  ),
});
export const fleet = (values: Record<string, string>): FleetView => foldFleet(emptyFleet, snapshot(values));
export const change = (...changes: Change[]): RegistryEvent => ({ kind: 'changes', revision: revision(21n), changes });

export const serves = { goal: 'serves' as const, revision: revision(10n), service, id } satisfies Awaited;
export const gone = { goal: 'gone' as const, revision: revision(10n), service, id } satisfies Awaited;
export const drained = { goal: 'drained' as const, revision: revision(10n), service, id } satisfies Awaited;
export const idle = { draining: new Map([['web/a', 0]]) };

export const obstacles = (view: FleetView, awaited: Awaited): string[] => {
  const verdict = evaluateBarrier(view, awaited);
  return verdict.kind === 'waiting'
    ? verdict.missing.map(({ balancer, obstacle }) => `${balancer} ${describeObstacle(obstacle)}`)
    : [verdict.kind];
};
