import { type BarrierState, describeObstacle } from '../fleet/barrier.ts';
import { nameOf } from '../fleet/registrations.ts';
import { isDone, type WaitRequest, type WaitState } from '../fleet/wait-for.ts';

/** A balancer, and what keeps it; undefined when nothing does. */
type BalancerRow = { readonly balancer: string; readonly missing: string | undefined };

/** How far a wait is, for a program. */
export type WaitReport = {
  readonly reached: boolean;
  readonly goal: WaitRequest['goal'];
  readonly service: string;
  readonly instance: string | undefined;
  /** Which every balancer has to serve; undefined while the registry itself is not as wanted. */
  readonly revision: string | undefined;
  /** Obstacles other than balancers. */
  readonly because: string | undefined;
  readonly balancers: readonly BalancerRow[];
};

export function reportOf({ goal, subject }: WaitRequest, state: WaitState): WaitReport {
  return {
    reached: isDone(state),
    goal,
    service: subject.service,
    instance: subject.id,
    revision: state.kind === 'fleet' ? String(state.awaited.revision) : undefined,
    because: state.kind === 'registry' ? state.because : becauseOf(state.verdict),
    balancers: state.kind === 'fleet' ? rowsOf(state.verdict) : [],
  };
}

function becauseOf(verdict: BarrierState): string | undefined {
  if (verdict.kind === 'unheard') return `the registry is unavailable: ${verdict.reason}`;
  return verdict.kind === 'nobody' ? 'no balancer is alive' : undefined;
}

function rowsOf(verdict: BarrierState): readonly BalancerRow[] {
  if (verdict.kind === 'unheard' || verdict.kind === 'nobody') return [];
  const reached = verdict.reached.map((balancer): BalancerRow => ({ balancer, missing: undefined }));
  const missing = verdict.kind === 'waiting' ? verdict.missing : [];
  return [
    ...reached,
    ...missing.map(({ balancer, obstacle }) => ({ balancer, missing: describeObstacle(obstacle) })),
  ].sort((a, b) => (a.balancer < b.balancer ? -1 : 1));
}

/** Of a wait that is over: `web/web-1 is served by 3 balancers`. */
export function describeOutcome(request: WaitRequest, report: WaitReport): string {
  const name = nameOf(request.subject);
  const { length } = report.balancers;
  const who = `${length} balancer${length === 1 ? '' : 's'}`;
  if (request.goal === 'serves') return `${name} is served by ${who}`;
  return length === 0 ? `${name} is gone; no balancer is alive` : `${name} is gone from ${who}`;
}

/** Of one that is not: who is missing, and why. */
export function describeMissing({ because, balancers }: WaitReport): string {
  const missing = balancers.filter((row) => row.missing !== undefined);
  const few = missing.slice(0, 5).map((row) => `${row.balancer} ${row.missing}`);
  const more = missing.length > few.length ? [`and ${missing.length - few.length} more`] : [];
  return [...(because === undefined ? [] : [because]), ...few, ...more].join('; ');
}
