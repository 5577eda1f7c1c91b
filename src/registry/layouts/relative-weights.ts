const ours = 256;

/**
 * The weights of a service's instances in HAProxy's range, 0 to 256, from weights that count relative to each other and that
 * have no bound. `given` has undefined for an instance without a weight, which counts as `unset`. Gives undefined for all when they
 * are equal, so that they have our default weight.
 */
export function relativeWeights<K>(
  given: ReadonlyMap<K, number | undefined>,
  unset: number,
): ReadonlyMap<K, number | undefined> {
  const weights = [...given.values()].map((weight) => weight ?? unset);
  const largest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  const equal = largest > 0 && weights.every((weight) => weight === largest);
  return new Map([...given].map(([key, weight = unset]) => [key, equal ? undefined : scaled(weight, largest)]));
}

/** At least 1 for what is not 0, because HAProxy sends nothing to a weight of 0. */
function scaled(weight: number, largest: number): number {
  if (weight === 0) return 0;
  return Math.max(1, Math.round((weight * ours) / largest));
}
