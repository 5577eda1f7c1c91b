import type { BalancerState } from './balancer-state.ts';

/** A balancer that could not be asked, so nobody here knows which of its instances are up. */
export type UnaskedBalancer = { readonly id: string; readonly reason: string };

export function unaskedOf(
  balancers: readonly Pick<BalancerState, 'id' | 'admin' | 'unread'>[],
): readonly UnaskedBalancer[] {
  return balancers.flatMap(({ id, admin, unread }) => {
    if ('reason' in admin) return [{ id, reason: admin.reason }];
    return unread === undefined ? [] : [{ id, reason: unread }];
  });
}

/** A line for each reason, and what an operator can do. Empty if each balancer was asked. */
export function describeUnasked(unasked: readonly UnaskedBalancer[]): readonly string[] {
  if (unasked.length === 0) return [];
  const byReason = new Map<string, readonly string[]>();
  for (const { id, reason } of unasked) byReason.set(reason, [...(byReason.get(reason) ?? []), id]);
  return [
    ...[...byReason].map(([reason, ids]) => `${ids.join(', ')}: ${reason}`),
    'UP and DOWN are unknown there: run pointsman status on that machine, or give --admin HOST:PORT',
  ];
}
