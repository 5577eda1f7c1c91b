import type { EjectedStatus } from './ejecting.ts';

/** The ejections of one service, by instance. */
export const ejectedIn = (all: readonly EjectedStatus[], service: string): ReadonlyMap<string, EjectedStatus> =>
  new Map(all.filter((one) => one.service === service).map((one) => [one.instance, one]));

/** How many instances of each service get no requests now because of an ejection. */
export function countEjected(all: readonly EjectedStatus[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { service, phase } of all) {
    if (phase === 'out') counts.set(service, (counts.get(service) ?? 0) + 1);
  }
  return counts;
}
