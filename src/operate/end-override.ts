import type { Catalog } from '../catalog/catalog.ts';
import { Fault } from '../model/fault.ts';
import { overrideKey } from '../model/key.ts';
import { byWhom, effectName, formatOverride, type Override, type OverrideTarget } from '../model/override.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import { readServices } from './read-services.ts';
import { nameOf } from './target.ts';

const past = { drain: 'drained', pause: 'paused' } as const;

/** The kinds of overrides that have a command of their own to end them. */
export type EndedKind = keyof typeof past;

/** The override of the target that balancers hold. */
export type HeldAnswer = {
  readonly override: Override | undefined;
  /** Balancers that could not be asked. */
  readonly untold: readonly string[];
};

/** An override that can be ended. */
export type EndPlan = {
  /** Undefined for one that is malformed, or over and not yet gone. */
  readonly ends: Override | undefined;
  /** The registry does not have it any more, and a balancer holds it. */
  readonly held: Override | undefined;
  readonly warnings: readonly string[];
};

type EndOptions = {
  /** Refuses to end an override of another kind. */
  readonly only: EndedKind | undefined;
  readonly wall: number;
  /** Called when the registry has no override of the target. */
  readonly findHeld: () => Promise<HeldAnswer>;
};

/** What there is to end. Rejects with Fault `not-found` when there is nothing, or an override of another kind. */
export async function planEnd(registry: Registry, target: OverrideTarget, options: EndOptions): Promise<EndPlan> {
  const { only, wall, findHeld } = options;
  const key = overrideKey(target.service, target.scope);
  const catalog = await readServices(registry, [target.service], wall);
  const standing = catalog.overrides.get(target.service)?.get(target.scope);
  // One that is malformed, or over and not yet gone, has nothing to show and can be cleared all the same.
  const there = catalog.rejected.has(key) || catalog.accepted.has(key);
  const answer = there ? undefined : await findHeld();
  const held = answer?.override;
  if (answer !== undefined && held === undefined) throw nothingThere(catalog, target, answer.untold);
  const ends = standing ?? held;
  if (only !== undefined && ends !== undefined && ends.effect.kind !== only) {
    const what = `${nameOf(target)} is not ${past[only]}: ${effectName(ends.effect)}${byWhom(ends)}`;
    throw new Fault('not-found', what, { hint: `pointsman clear ${nameOf(target)} ends any override of it` });
  }
  return { ends, held, warnings: remaining(catalog, target) };
}

/** Ends it. Resolves with undefined if it was gone meanwhile. Rejects with a Fault. */
export async function endOverride(
  registry: Registry,
  target: OverrideTarget,
  { held }: EndPlan,
): Promise<Revision | undefined> {
  const key = overrideKey(target.service, target.scope);
  // When a held entry is written again, balancers release it, and then the deletion counts.
  if (held !== undefined) await registry.write(key, formatOverride(held));
  return registry.remove(key);
}

export const describeEnd = (standing: Override | undefined): string =>
  standing === undefined ? 'cleared' : `${effectName(standing.effect)}${byWhom(standing)} is ended`;

function nothingThere({ overrides }: Catalog, { service, scope }: OverrideTarget, untold: readonly string[]): Fault {
  const ofService = overrides.get(service);
  const all = ofService?.get('*');
  if (scope !== '*' && all !== undefined) {
    const what = `${service}/${scope} has no override of its own: ${effectName(all.effect)} is for all of ${service}`;
    return new Fault('not-found', what, { hint: `pointsman clear ${service} ends that` });
  }
  const own = [...(ofService?.keys() ?? [])].filter((id) => id !== '*');
  return new Fault('not-found', `no override of ${nameOf({ service, scope })}`, {
    hint:
      own.length > 0
        ? `there are overrides of ${own.map((id) => `${service}/${id}`).join(', ')}`
        : untold.length === 0
          ? undefined
          : `${untold.join(', ')} cannot be reached from here; pointsman release ${service} ends held overrides`,
  });
}

/** The restrictions of the target that are left, which the operator may not expect. */
function remaining({ overrides }: Catalog, { service, scope }: OverrideTarget): string[] {
  const others = [...(overrides.get(service) ?? [])].filter(([other]) => other !== scope);
  if (scope === '*') {
    return others.map(([id, { effect }]) => `${service}/${id} keeps its own override: ${effectName(effect)}`);
  }
  return others
    .filter(([other]) => other === '*')
    .map(([, all]) => `${effectName(all.effect)} of all of ${service}${byWhom(all)} now applies to it`);
}
