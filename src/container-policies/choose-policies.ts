import type { LabelPolicy } from '../model/label-policy.ts';
import { parseLabelPolicy } from '../model/label-policy.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import type { Entry } from '../registry/registry.ts';

/** The name of the set that owns the policies of labels, of all hosts together. */
export const setOfLabels = 'containers';

/** What a container asks for a service by `pointsman.hosts` and `pointsman.policy`. */
export type AskedPolicy = {
  readonly service: ServiceName;
  /** The JSON of the policy; undefined if the labels have a mistake. */
  readonly policy: string | undefined;
  readonly container: string;
  /** In ms since 1970. */
  readonly created: number;
};

export type ContainerPolicy = AskedPolicy & {
  /** Whether its instance of the service is, or has been, in the registry. */
  readonly announced: boolean;
};

/** The policy of a service by labels, and the host whose container asks for it. */
export type ChosenPolicy = {
  readonly service: ServiceName;
  readonly host: string;
  readonly policy: string;
  readonly container: string;
  readonly announced: boolean;
  /** Who asks for another one: `shop-web-1 on host-a`. */
  readonly against: readonly string[];
};

export type ChosenPolicies = {
  readonly chosen: ReadonlyMap<ServiceName, ChosenPolicy>;
  /** The services of which all labels have a mistake: their policies stay as they are. By service, the container and its host. */
  readonly mistaken: ReadonlyMap<ServiceName, string>;
};

/**
 * What the containers of this host ask for, by service. The newest container decides whose instance has been announced: one that is not
 * healthy yet must not change how the others are served. Before the first is announced, the newest decides.
 */
export function hostPolicies(asked: readonly ContainerPolicy[]): ReadonlyMap<ServiceName, LabelPolicy> {
  const chosen = new Map<ServiceName, LabelPolicy>();
  for (const { service, policy, container, created, announced } of [...asked].sort(decisiveFirst)) {
    const first = chosen.get(service);
    if (first === undefined) chosen.set(service, { policy, container, created, announced, against: [] });
    else if (policy !== undefined && first.policy !== policy) {
      chosen.set(service, { ...first, against: [...first.against, container] });
    }
  }
  return chosen;
}

/** The policies of all hosts, from the entries below `labels/`, by the rule of `hostPolicies`. An entry that is not valid does not count. */
export function choosePolicies(entries: Iterable<Entry>): ChosenPolicies {
  const asked: (ContainerPolicy & { readonly host: string; readonly local: readonly string[] })[] = [];
  for (const { key, value, leased } of entries) {
    const [area, name = '', host = '', ...rest] = key.split('/');
    const service = parseServiceName(name);
    const read = parseLabelPolicy(value);
    // A key without a lease would stay for ever.
    if (area !== 'labels' || !leased || !service.ok || !read.ok || rest.length > 0) continue;
    const { policy, container, created, announced, against: local } = read.value;
    asked.push({ service: service.value, policy, container, created, announced, host, local });
  }
  const chosen = new Map<ServiceName, ChosenPolicy>();
  const mistaken = new Map<ServiceName, string>();
  for (const { service, policy, container, announced, host, local } of asked.sort(decisiveFirst)) {
    const first = chosen.get(service);
    const here = local.map((one) => `${one} on ${host}`);
    if (policy === undefined) {
      if (first === undefined && !mistaken.has(service)) mistaken.set(service, `${container} on ${host}`);
    } else if (first === undefined) chosen.set(service, { service, host, policy, container, announced, against: here });
    else {
      const others = first.policy === policy ? here : [`${container} on ${host}`, ...here];
      chosen.set(service, { ...first, against: [...first.against, ...others] });
    }
  }
  return { chosen, mistaken };
}

/** A line for each service whose containers disagree, or of which all labels have a mistake. */
export function describeDisagreements({ chosen, mistaken }: ChosenPolicies): readonly string[] {
  const disagreements = [...chosen.values()].flatMap(({ service, container, host, announced, against }) => {
    if (against.length === 0) return [];
    const more = against.length > 3 ? ` and ${against.length - 3} more` : '';
    const because = announced
      ? 'the newest container that was announced'
      : 'the newest container, and none is announced';
    return `services/${service}: the labels of ${container} on ${host} count, because it is ${because}; ${against.slice(0, 3).join(', ')}${more} ${against.length === 1 ? 'asks' : 'ask'} for another policy`;
  });
  const mistakes = [...mistaken].map(
    ([service, container]) =>
      `services/${service}: the policy stays as it is, because the labels of ${container} have a mistake; its agent logs it as labels-refused`,
  );
  return [...disagreements, ...mistakes];
}

/** The order is the same on every host, whatever the clocks say. */
function decisiveFirst(
  one: ContainerPolicy & { readonly host?: string },
  other: ContainerPolicy & { readonly host?: string },
): number {
  const valid = Number(other.policy !== undefined) - Number(one.policy !== undefined);
  if (valid !== 0) return valid;
  if (one.announced !== other.announced) return one.announced ? -1 : 1;
  if (one.created !== other.created) return other.created - one.created;
  const [a, b] = [`${one.host}/${one.container}`, `${other.host}/${other.container}`];
  return a < b ? -1 : a > b ? 1 : 0;
}
