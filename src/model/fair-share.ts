/**
 * The max-min fair share of a capacity. A demand up to this share is met in full, and every larger demand gets this share.
 * Infinite when the capacity meets all demands.
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
