/** When the next keep-alive is due, in ms: a third of the TTL, give or take a tenth, so that many do not march in step. */
export function beatAfter(ttlMs: number, random: number): number {
  return (ttlMs / 3) * (0.9 + 0.2 * random);
}

/** How long an answer may take before another member is asked, in ms: what leaves time for all of three to be asked. */
export function answerBy(ttlMs: number): number {
  return Math.min(1500, ttlMs / 5);
}
