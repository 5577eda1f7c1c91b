/**
 * The max-min fair share of a capacity: whoever demands no more than this gets all that it demands, and the others get this
 * much each. Infinite where there is enough for all.
 */
export function fairShare(demands: Iterable<number>, capacity: number): number {
  const ascending = [...demands].sort((a, b) => a - b);
  let left = capacity;
  for (const [i, demand] of ascending.entries()) {
    const share = left / (ascending.length - i);
    if (demand > share) return share;
    left -= demand;
  }
  return Number.POSITIVE_INFINITY;
}
