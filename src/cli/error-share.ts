import * as v from 'valibot';
import { askAdmin } from './balancers.ts';

const count = v.number();
const detail = v.object({
  instancesById: v.array(
    v.object({
      id: v.string(),
      version: v.optional(v.string()),
      traffic: v.optional(
        v.object({
          requests: count,
          answers: v.looseObject({ '5xx': count }),
          failures: v.looseObject({ connect: count, response: count }),
        }),
      ),
    }),
  ),
});

/** The counts of HAProxy for one version since its workers began, by balancer and instance. */
export type Counted = ReadonlyMap<string, { readonly requests: number; readonly failed: number }>;

/** Rejects when a balancer does not answer. */
export async function countVersion(balancers: readonly string[], service: string, version: string): Promise<Counted> {
  const counted = new Map<string, { requests: number; failed: number }>();
  await Promise.all(
    balancers.map(async (at) => {
      const { instancesById } = v.parse(detail, await askAdmin(at, `/services/${service}`));
      for (const { id, version: has, traffic } of instancesById) {
        if (has !== version || traffic === undefined) continue;
        const { requests, answers, failures } = traffic;
        counted.set(`${at}/${id}`, { requests, failed: answers['5xx'] + failures.connect + failures.response });
      }
    }),
  );
  return counted;
}

/** The difference of two counts. A worker that replaced another counts from 0. */
export function between(before: Counted, now: Counted): { readonly requests: number; readonly failed: number } {
  let [requests, failed] = [0, 0];
  for (const [at, { requests: r, failed: f }] of now) {
    const base = before.get(at);
    const anew = base === undefined || r < base.requests || f < base.failed;
    requests += anew ? r : r - base.requests;
    failed += anew ? f : f - base.failed;
  }
  return { requests, failed };
}
