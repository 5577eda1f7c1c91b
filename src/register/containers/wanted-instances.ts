import type { Declared } from '../registration.ts';
import type { LabelledInstance } from './container-labels.ts';
import type { SeenContainer } from './container-run.ts';

/** A container with the instances that it declares, nothing left open. */
export type DeclaringContainer = {
  readonly seen: SeenContainer;
  readonly instances: readonly { readonly labelled: LabelledInstance; readonly declared: Declared }[];
};

/**
 * `announce`: it gets requests; `pause`: it stays without new ones; `retire`: it leaves as soon as every balancer has let go; `drop`: it
 * leaves at once. `retire` and `drop` hold as well for what a former agent announced.
 */
export type Want = {
  readonly how: 'announce' | 'pause' | 'retire' | 'drop';
  readonly container: string;
  readonly declared: Declared;
};

/** An instance that another container has already. */
export type Doubled = { readonly container: string; readonly name: string; readonly other: string };

/**
 * What should be in the registry, by `service/id`. An instance that two containers declare stays with the one that had it, else it is
 * that of the older one. One that is to be dropped is in nobody's way.
 */
export function wantedInstances(
  containers: readonly DeclaringContainer[],
  before: ReadonlyMap<string, Want>,
): { readonly wanted: ReadonlyMap<string, Want>; readonly doubled: readonly Doubled[] } {
  const wanted = new Map<string, Want>();
  const doubled: Doubled[] = [];
  const wants = [...containers]
    .sort(({ seen: one }, { seen: other }) => one.container.createdAt - other.container.createdAt)
    .flatMap(({ seen, instances }) =>
      instances.flatMap(({ labelled, declared }) => {
        const name = `${declared.instance.service}/${declared.instance.id}`;
        const how = wish(seen, labelled, declared, before.get(name));
        return how === undefined ? [] : [{ name, want: { how, container: seen.container.id, declared } }];
      }),
    );
  const had = ({ name, want }: (typeof wants)[number]) => before.get(name)?.container === want.container;
  const stay = wants.filter(({ want }) => want.how !== 'drop');
  for (const { name, want } of [...stay.filter(had), ...stay.filter((one) => !had(one))]) {
    const other = wanted.get(name);
    if (other === undefined) wanted.set(name, want);
    else doubled.push({ container: want.container, name, other: other.container });
  }
  for (const { name, want } of wants) if (!wanted.has(name)) wanted.set(name, want);
  return { wanted, doubled };
}

/** Undefined: out of the registry, and there is none of a former agent. */
function wish(
  { container, stage }: SeenContainer,
  { byHealthcheck }: LabelledInstance,
  { unhealthy }: Declared,
  before: Want | undefined,
): Want['how'] | undefined {
  // This agent has removed it.
  if (stage === 'left') return undefined;
  // A paused application answers nobody, and one that ends refuses requests.
  if (container.phase === 'paused' || container.phase === 'over' || stage === 'ending') return 'drop';
  // Also when this agent has not announced it: a former agent may have, and balancers may have open requests of it.
  if (stage === 'leaving') return 'retire';
  const present = before?.container === container.id && before.how !== 'drop';
  if (!byHealthcheck || container.health === 'healthy') return 'announce';
  return present && container.health === 'unhealthy' && unhealthy === 'drain' ? 'pause' : undefined;
}
