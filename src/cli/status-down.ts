import * as v from 'valibot';
import { describeFailedCheck } from '../haproxy/failed-check.ts';
import { formatDuration } from '../model/quantity.ts';
import type { BalancerState } from './balancer-state.ts';
import { askAdmin } from './balancers.ts';

/** An instance that is to get requests and that the checks of a balancer's HAProxy find down. */
export type DownInstance = {
  readonly service: string;
  readonly instance: string;
  readonly balancer: string;
  readonly reason: string;
  readonly forS: number;
};

/** The services of a balancer whose instances are asked for. A balancer answers each in some milliseconds. */
const mostAsked = 20;

const traffic = v.looseObject({
  status: v.string(),
  check: v.optional(v.string(), ''),
  checkDetail: v.optional(v.string(), ''),
  sinceS: v.number(),
});
const detail = v.object({
  instancesById: v.array(
    v.looseObject({ id: v.string(), state: v.string(), weight: v.number(), traffic: v.optional(traffic) }),
  ),
});

/** The services with instances that are down: first those of which no instance is up. */
export function servicesToAsk({ serves }: Pick<BalancerState, 'serves'>): readonly string[] {
  const lacking = serves.filter(({ up, ready }) => up !== undefined && up < ready);
  return [...lacking.filter(({ up }) => up === 0), ...lacking.filter(({ up }) => up !== 0)]
    .slice(0, mostAsked)
    .map(({ name }) => name);
}

/** Asks each balancer for the instances that are down. One that does not answer any more says nothing here. */
export async function readDown(balancers: readonly BalancerState[]): Promise<readonly DownInstance[]> {
  const found = await Promise.all(
    balancers.map(async (balancer) => {
      const { admin, id } = balancer;
      if ('reason' in admin) return [];
      const ask = async (service: string) =>
        downIn(id, service, await askAdmin(admin.at, `/services/${service}`).catch(() => undefined));
      return (await Promise.all(servicesToAsk(balancer).map(ask))).flat();
    }),
  );
  return found.flat();
}

/** The instances that are down by a balancer's answer about a service. */
export function downIn(balancer: string, service: string, answer: unknown): readonly DownInstance[] {
  const parsed = v.safeParse(detail, answer);
  if (!parsed.success) return [];
  return parsed.output.instancesById.flatMap(({ id: instance, state, weight, traffic: said }) => {
    if (said === undefined || state !== 'ready' || weight === 0 || !said.status.startsWith('DOWN')) return [];
    const reason = describeFailedCheck(`${said.check} ${said.checkDetail}`.trim()) || 'no check has passed yet';
    return [{ service, instance, balancer, reason, forS: said.sinceS }];
  });
}

/** The most instances that are named. */
const mostNamed = 20;

/**
 * `web: no instance is up (0 of 3)`, and `web/web-1 is down for 12s: connection refused`, with the balancers that say so unless all
 * that were asked do. What is down nowhere else comes last.
 */
export function describeDown(
  down: readonly DownInstance[],
  balancers: readonly Pick<BalancerState, 'id' | 'serves'>[],
): readonly string[] {
  const asked = balancers.filter(({ serves }) => serves.length > 0);
  const where = (ids: readonly string[]) => (ids.length < asked.length ? ` (on ${ids.join(', ')})` : '');
  const without = new Map<string, { readonly ready: number; readonly on: string[] }>();
  for (const { id, serves } of asked) {
    for (const { name, up, ready } of serves) {
      if (up !== 0 || ready === 0) continue;
      const known = without.get(name);
      if (known === undefined) without.set(name, { ready, on: [id] });
      else known.on.push(id);
    }
  }
  const instances = new Map<string, DownInstance & { readonly on: string[] }>();
  for (const one of down) {
    const name = `${one.service}/${one.instance}: ${one.reason}`;
    const known = instances.get(name);
    if (known === undefined) instances.set(name, { ...one, on: [one.balancer] });
    else known.on.push(one.balancer);
  }
  const services = [...without].map(
    ([name, { ready, on }]) => `${name}: no instance is up (0 of ${ready})${where(on)}`,
  );
  const named = [...instances.values()].map(
    ({ service, instance, reason, forS, on }) =>
      `${service}/${instance} is down for ${formatDuration(forS * 1000)}: ${reason}${where(on)}`,
  );
  return [...cut(services, 'services without an instance'), ...cut(named, 'instances')];
}

const cut = (lines: readonly string[], what: string): readonly string[] =>
  lines.length <= mostNamed
    ? lines
    : [...lines.slice(0, mostNamed), `and ${lines.length - mostNamed} more ${what} (pointsman status SERVICE)`];
