import { allInstancesKey, instanceKey, overrideKey, policyKey } from '../model/key.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { noRevision, type Revision } from '../model/revision.ts';
import { type Acknowledgement, anyService, heldReason, instanceName, type Refusal } from './acknowledgement.ts';
import type { FleetView } from './fleet-view.ts';

/** The goal of a wait: every live balancer serves a revision, and the goal holds there. */
export type Awaited = { readonly revision: Revision; readonly service: ServiceName } & (
  | {
      /** `serves`: it takes requests; `gone`: it takes none any more. */
      readonly goal: 'serves' | 'gone';
      /** Undefined: all of the service. */
      readonly id: InstanceId | undefined;
      /**
       * The instances of the service whose registrations ask for requests; with `serves` an operator may have taken out none of
       * them.
       */
      readonly ready?: readonly InstanceId[];
    }
  /** Requests for it wait. */
  | { readonly goal: 'paused'; readonly id: undefined }
  /** It takes none any more, and none is open. */
  | { readonly goal: 'drained'; readonly id: InstanceId }
);

/** Why a balancer is not where it should be. */
export type Obstacle =
  | { readonly kind: 'behind'; readonly at: Revision }
  /** It still follows a registry that this one has replaced. */
  | { readonly kind: 'elsewhere' }
  /** `final`: see `Refusal`. */
  | { readonly kind: 'refused'; readonly reason: string; readonly final: boolean }
  /** The balancer sends it no new requests, although the registration does not ask for that: an operator has taken it out. */
  | { readonly kind: 'drains'; readonly instance: string | undefined }
  /** It gives it no new requests: it has passed no check there yet. `undefined`: the one that is awaited. */
  | { readonly kind: 'unproven'; readonly instance: string | undefined }
  /** It serves the instances, and no request can reach the service: others have all that its policy asks for. */
  | { readonly kind: 'unrouted'; readonly reason: string }
  /** The balancer refuses more entries than it lists, and the awaited one may be among them. */
  | { readonly kind: 'untold'; readonly count: number }
  /** More instances of the service get no new requests than it lists, and the awaited one may be among them. */
  | { readonly kind: 'unlisted'; readonly count: number }
  | { readonly kind: 'open-requests'; readonly count: number }
  /** Requests may be open that it cannot count: in a worker that a reload left behind. */
  | { readonly kind: 'unknown-requests' }
  /** The balancer has a version that does not report this, or in another form. */
  | { readonly kind: 'cannot-tell'; readonly reason: string };

type Missing = { readonly balancer: string; readonly obstacle: Obstacle };

/** The state of a wait for a fleet. */
export type BarrierState =
  /** Nothing is known of the fleet yet. */
  | { readonly kind: 'unheard'; readonly reason: string }
  /** No balancer is alive. A leave need not wait then; a wait for service must. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'waiting'; readonly reached: readonly string[]; readonly missing: readonly Missing[] }
  | { readonly kind: 'reached'; readonly reached: readonly string[] };

/** How a wait ended. `vanished`: the balancers whose lease ended during the wait, before they were where they should be. */
export type WaitVerdict = BarrierState & { readonly vanished: readonly string[] };

/**
 * The missing balancers, and why. The last acknowledgements count while the registry is unavailable: an acknowledgement stays
 * true.
 */
export function evaluateBarrier(view: FleetView, awaited: Awaited): BarrierState {
  if (view.cluster === undefined) return { kind: 'unheard', reason: view.away ?? 'it has not answered yet' };
  if (view.balancers.size === 0) return { kind: 'nobody' };
  const reached: string[] = [];
  const missing: Missing[] = [];
  for (const [balancer, acknowledgement] of view.balancers) {
    const obstacle: Obstacle | undefined = acknowledgement.ok
      ? findObstacle(acknowledgement.value, view.cluster, awaited)
      : { kind: 'cannot-tell', reason: acknowledgement.reason };
    if (obstacle === undefined) reached.push(balancer);
    else missing.push({ balancer, obstacle });
  }
  return missing.length === 0 ? { kind: 'reached', reached } : { kind: 'waiting', reached, missing };
}

/** Whether the wait is over. */
export function isOver(verdict: BarrierState, { goal }: Pick<Awaited, 'goal'>): boolean {
  return verdict.kind === 'reached' || (verdict.kind === 'nobody' && goal !== 'serves');
}

/** Whether waiting does not help: every balancer that does not serve it refuses it for good. */
export function isRefused(verdict: BarrierState): boolean {
  return (
    verdict.kind === 'waiting' && verdict.missing.every(({ obstacle }) => obstacle.kind === 'refused' && obstacle.final)
  );
}

function findObstacle(acknowledged: Acknowledgement, cluster: string, awaited: Awaited): Obstacle | undefined {
  // It may not know yet which registry it follows.
  if (acknowledged.revision === noRevision) return { kind: 'behind', at: noRevision };
  if (acknowledged.cluster !== cluster) return { kind: 'elsewhere' };
  if (acknowledged.revision < awaited.revision) return { kind: 'behind', at: acknowledged.revision };
  const refusal = acknowledged.refusals.find((one) => concerns(one, awaited));
  const { goal, service, id } = awaited;
  // It never got a request.
  if (refusal?.absent === true && (goal === 'drained' || goal === 'gone')) return undefined;
  // Any other drain or leave that is not served means that requests still come.
  if (refusal !== undefined) return { kind: 'refused', reason: refusal.reason, final: refusal.final === true };
  const untold = leftOut('untold', acknowledged.untold, service);
  const unlisted = leftOut('unlisted', acknowledged.unlisted, service);
  if (goal === 'drained') {
    // A balancer that counts the requests of a drain does not refuse it, whatever else it refuses.
    const open = findOpen(acknowledged, instanceName(service, id));
    return open?.kind === 'cannot-tell' ? (untold ?? unlisted ?? open) : open;
  }
  if (untold !== undefined || goal !== 'serves') return untold;
  const unrouted = acknowledged.unrouted.get(service);
  if (unrouted !== undefined) return { kind: 'unrouted', reason: unrouted };
  const ids = id === undefined ? (awaited.ready ?? []) : [id];
  const drained = ids.find((one) => acknowledged.draining?.has(instanceName(service, one)) === true);
  const named = (one: InstanceId) => (id === undefined ? instanceName(service, one) : undefined);
  if (drained !== undefined) return { kind: 'drains', instance: named(drained) };
  const unproven = acknowledged.unproven.get(service) ?? [];
  const among = new Set<string>(unproven);
  const waits = ids.find((one) => among.has(one));
  return waits === undefined ? unlisted : { kind: 'unproven', instance: named(waits) };
}

function leftOut(
  kind: 'untold' | 'unlisted',
  counts: ReadonlyMap<string, number>,
  service: ServiceName,
): Obstacle | undefined {
  const count = (counts.get(service) ?? 0) + (counts.get(anyService) ?? 0);
  return count > 0 ? { kind, count } : undefined;
}

function findOpen({ draining }: Acknowledgement, name: string): Obstacle | undefined {
  if (draining === undefined) return { kind: 'cannot-tell', reason: 'it does not report open requests' };
  const open = draining.get(name);
  if (open === undefined) return { kind: 'cannot-tell', reason: 'it does not report those of this instance' };
  if (open === 'unknown') return { kind: 'unknown-requests' };
  return open === 0 ? undefined : { kind: 'open-requests', count: open };
}

function concerns({ key, reason }: Refusal, { service, id, goal }: Awaited): boolean {
  if (goal === 'paused') return key === overrideKey(service, '*');
  // A policy that is not in force keeps no instance from leaving, and one that is held is in force.
  if (key === policyKey(service)) return goal === 'serves' && reason !== heldReason;
  if (id !== undefined) return key === instanceKey(service, id) || key === allInstancesKey(service);
  return key.startsWith(instanceKey(service, ''));
}

/** A clause about balancers that vanished during a drain; undefined when none has. Their pointsman may hang while their HAProxy serves. */
export function describeVanished(vanished: readonly string[]): string | undefined {
  if (vanished.length === 0) return undefined;
  const [it, its] = vanished.length === 1 ? ['it', 'its'] : ['they', 'their'];
  return `${vanished.join(', ')} stopped answering before ${it} confirmed the drain, and ${its} HAProxy may still send requests`;
}

/** A clause for a log or a person, after the balancer's name. */
export function describeObstacle(obstacle: Obstacle): string {
  switch (obstacle.kind) {
    case 'behind':
      return obstacle.at === noRevision ? 'has started and serves nothing yet' : `is at revision ${obstacle.at}`;
    case 'elsewhere':
      return 'has not followed the registry since its data was replaced';
    case 'refused':
      return `does not serve it: ${obstacle.reason}`;
    case 'drains':
      return `gives ${obstacle.instance ?? 'it'} no requests: an operator has taken it out`;
    case 'unproven':
      return `gives ${obstacle.instance ?? 'it'} no requests: it has not passed a health check yet (see pointsman explain)`;
    case 'unrouted':
      return `gives it no requests: ${obstacle.reason}`;
    case 'untold':
      return `refuses ${obstacle.count} or more entries that it does not name, and this may be one of them (see pointsman explain)`;
    case 'unlisted':
      return `does not list ${obstacle.count} or more instances that get no new requests, and this may be one of them (see pointsman explain)`;
    case 'open-requests':
      return `has ${obstacle.count} open request${obstacle.count === 1 ? '' : 's'}`;
    case 'unknown-requests':
      return 'has a worker from before a reload that may still hold requests';
    case 'cannot-tell':
      return `cannot tell: ${obstacle.reason}`;
  }
}
