import type { Health } from './health.ts';
import type { CheckOutcome } from './outcome.ts';

/**
 * The state that an instance should have in the registry. `gone`: withdrawn because it is not declared any more, once every
 * balancer has stopped to use it; `dropped`: the same at once, because the application has ended.
 */
export type DesiredState = 'announced' | 'drained' | 'withdrawn' | 'gone' | 'dropped';

/** The consequence for an instance while it is unhealthy. */
export type WhenUnhealthy = 'withdraw' | 'drain';

/** One check, with the health before and after it. */
export type Check = { readonly before: Health; readonly health: Health; readonly outcome: CheckOutcome };

/** The consequence of one check. */
export type AfterCheck =
  | { readonly kind: 'unchanged' }
  /** `again`: it was healthy before. */
  | { readonly kind: 'healthy'; readonly state: 'announced'; readonly again: boolean }
  | { readonly kind: 'unhealthy'; readonly state: 'drained' | 'withdrawn'; readonly reason: string }
  /** It is not announced yet, or not any more. */
  | { readonly kind: 'waiting'; readonly reason: string };

/** The next desired state of an instance after a check. */
export function nextDesired(state: DesiredState, unhealthy: WhenUnhealthy, check: Check): AfterCheck {
  const { before, health, outcome } = check;
  if (health.verdict === 'healthy' && before.verdict !== 'healthy') {
    return { kind: 'healthy', state: 'announced', again: before.proven };
  }
  if (outcome.passes) return { kind: 'unchanged' };
  const { reason } = outcome;
  if (state !== 'announced') return { kind: 'waiting', reason };
  if (health.verdict !== 'unhealthy') return { kind: 'unchanged' };
  return { kind: 'unhealthy', state: unhealthy === 'drain' ? 'drained' : 'withdrawn', reason };
}
