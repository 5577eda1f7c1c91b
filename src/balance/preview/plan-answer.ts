import { type Catalog, rejectionOf, type Unserved } from '../../catalog/catalog.ts';
import type { Plan } from '../../haproxy/plan.ts';
import { describeReason } from '../../haproxy/reload-reason.ts';
import { describeStep } from '../../haproxy/step.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { instanceKey, policyKey } from '../../model/key.ts';
import { isRouteKey } from '../../model/route-target.ts';
import { type Conflict, describeConflict } from '../../render/conflict.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { Quarantine } from '../quarantine/quarantine.ts';
import type { Preview } from './preview.ts';

/** A change of a registry entry that nobody has made yet; without a value, the entry is deleted. */
export type EntryChange = { readonly key: string; readonly value: string | undefined };

/** Up to a bounded number of lines, and how many there are. */
type Listed = { readonly count: number; readonly first: readonly string[] };

/** What this balancer's HAProxy would do if entries of the registry changed. */
export type PlanAnswer = {
  /** The version of HAProxy; undefined while none runs. */
  readonly haproxy: string | undefined;
  /** The revision of the catalog that the plan begins with. */
  readonly revision: string;
  readonly commands: Listed;
  /** The reasons for a reload; none: the commands are enough. */
  readonly reload: Listed;
  /** `www.example.com web`, with `+`, `-` or `~` before it. */
  readonly routes: Listed;
  /** Conflicts that there are not now. */
  readonly conflicts: Listed;
  /** The changed entries, and those of their services, that would not be served as written. */
  readonly unserved: readonly Unserved[];
  readonly moreUnserved: number;
  /** Deleted entries that the balancer would go on using, because so many are deleted at once. */
  readonly held: Listed;
  /** The services that differ, and how many instances they have. */
  readonly services: number;
  readonly instances: number;
  /** Why a reload waits already, whatever changes. */
  readonly pending: readonly string[];
  readonly validation: Validation;
};

/** Whether HAProxy would load the configuration. */
export type Validation =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly reason: string; readonly keys: readonly string[] }
  | { readonly kind: 'skipped'; readonly reason: string };

const mostListed = 100;

export const listed = (lines: readonly string[]): Listed => ({
  count: lines.length,
  first: lines.slice(0, mostListed),
});

/** The commands and the reasons of a plan as lines, without those of `others`, which are needed whatever changes. */
export function describedPlan(plan: Plan, others: Plan): Pick<PlanAnswer, 'commands' | 'reload'> {
  const [steps, reasons] = [new Set(others.steps.map(describeStep)), new Set(others.reload.map(describeReason))];
  return {
    commands: listed(plan.steps.map(describeStep).filter((line) => !steps.has(line))),
    reload: listed([...new Set(plan.reload.map(describeReason))].filter((line) => !reasons.has(line))),
  };
}

export function changedRoutes(before: Rendered, after: Rendered): Listed {
  const differing = before.routes.differences(after.routes).filter(isRouteKey);
  return listed(
    differing.map((route) => {
      const [was, is] = [before.routes.get(route), after.routes.get(route)];
      if (is === undefined) return `- ${route} ${was}`;
      return was === undefined ? `+ ${route} ${is}` : `~ ${route} ${is} instead of ${was}`;
    }),
  );
}

export function newConflicts(before: readonly Conflict[], after: readonly Conflict[]): Listed {
  const known = new Set(before.map(describeConflict));
  return listed(after.map(describeConflict).filter((line) => !known.has(line)));
}

/** The unserved entries, each once, and how many instances the dirty services have. */
export function concerned(
  dirty: DirtySet,
  { services }: Catalog,
  unserved: readonly Unserved[],
): Pick<PlanAnswer, 'services' | 'instances' | 'unserved' | 'moreUnserved'> {
  const once = [...new Map(unserved.map((one) => [one.key, one])).values()];
  let instances = 0;
  for (const name of dirty.keys()) instances += services.get(name)?.instances.size ?? 0;
  const first = once.slice(0, mostListed);
  return { services: dirty.size, instances, unserved: first, moreUnserved: once.length - first.length };
}

/** The changed entries that no parser accepts, or for which there is no room. */
export const rejectedAmong = (changes: readonly EntryChange[], catalog: Catalog): readonly Unserved[] =>
  changes.flatMap(({ key, value }) => {
    const rejection = value === undefined ? undefined : rejectionOf(catalog, key);
    return rejection === undefined ? [] : [{ key, reason: rejection.reason, lastGoodServes: rejection.lastGoodServes }];
  });

export const unrenderedOf = ({ problems }: Preview): readonly Unserved[] =>
  problems.map(({ service, instance, reason, lastGoodServes }) => ({
    key: instance === undefined ? policyKey(service) : instanceKey(service, instance),
    reason,
    lastGoodServes,
  }));

/** The services whose newest policy is in quarantine, or would be. */
export const quarantinedAmong = ({ services }: Quarantine, dirty: DirtySet): readonly Unserved[] =>
  [...services].flatMap(([name, { reason, form }]) =>
    dirty.has(name) ? [{ key: policyKey(name), reason, lastGoodServes: form !== undefined }] : [],
  );
