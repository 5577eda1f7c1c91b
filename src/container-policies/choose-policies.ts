import type { LabelPolicy } from '../model/label-policy.ts';
import { parseLabelPolicy } from '../model/label-policy.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import type { Entry } from '../registry/registry.ts';

/** What a container asks for a service by `pointsman.hosts` and `pointsman.policy`. */
export type ContainerPolicy = {
  readonly service: ServiceName;
  /** The JSON of the policy. */
  readonly policy: string;
  readonly container: string;
  /** In ms since 1970. */
  readonly created: number;
};

/** The policy of a service by labels, and the host whose container asks for it. */
export type ChosenPolicy = {
  readonly service: ServiceName;
  readonly host: string;
  readonly policy: string;
  readonly container: string;
  /** Who asks for another one: `shop-web-1 on host-a`. */
  readonly against: readonly string[];
};

/** What the containers of this host ask for, by service: the newest container decides. */
export function hostPolicies(asked: readonly ContainerPolicy[]): ReadonlyMap<ServiceName, LabelPolicy> {
  const chosen = new Map<ServiceName, LabelPolicy>();
  for (const { service, policy, container, created } of [...asked].sort(newestFirst)) {
    const first = chosen.get(service);
    if (first === undefined) chosen.set(service, { policy, container, created, against: [] });
    else if (first.policy !== policy) chosen.set(service, { ...first, against: [...first.against, container] });
  }
  return chosen;
}

/** The policies of all hosts, from the entries below `labels/`. The newest container decides; an entry that is not valid does not count. */
export function choosePolicies(entries: Iterable<Entry>): ReadonlyMap<ServiceName, ChosenPolicy> {
  const asked: (ContainerPolicy & { readonly host: string; readonly local: readonly string[] })[] = [];
  for (const { key, value, leased } of entries) {
    const [area, name = '', host = '', ...rest] = key.split('/');
    const service = parseServiceName(name);
    const read = parseLabelPolicy(value);
    // A key without a lease would stay for ever.
    if (area !== 'labels' || !leased || !service.ok || !read.ok || rest.length > 0) continue;
    const { policy, container, created, against: local } = read.value;
    asked.push({ service: service.value, policy, container, created, host, local });
  }
  const chosen = new Map<ServiceName, ChosenPolicy>();
  for (const { service, policy, container, host, local } of asked.sort(newestFirst)) {
    const first = chosen.get(service);
    const here = local.map((one) => `${one} on ${host}`);
    if (first === undefined) chosen.set(service, { service, host, policy, container, against: here });
    else {
      const others = first.policy === policy ? here : [`${container} on ${host}`, ...here];
      chosen.set(service, { ...first, against: [...first.against, ...others] });
    }
  }
  return chosen;
}

/** A line for each service whose containers disagree. */
export const describeDisagreements = (chosen: ReadonlyMap<ServiceName, ChosenPolicy>): readonly string[] =>
  [...chosen.values()].flatMap(({ service, container, host, against }) => {
    if (against.length === 0) return [];
    const more = against.length > 3 ? ` and ${against.length - 3} more` : '';
    return `services/${service}: the labels of ${container} on ${host} count, because it is the newest container; ${against.slice(0, 3).join(', ')}${more} ${against.length === 1 ? 'asks' : 'ask'} for another policy`;
  });

/** The order is the same on every host, whatever the clocks say. */
function newestFirst(
  one: ContainerPolicy & { readonly host?: string },
  other: ContainerPolicy & { readonly host?: string },
): number {
  if (one.created !== other.created) return other.created - one.created;
  const [a, b] = [`${one.host}/${one.container}`, `${other.host}/${other.container}`];
  return a < b ? -1 : a > b ? 1 : 0;
}
