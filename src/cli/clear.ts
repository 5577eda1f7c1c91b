import type { Catalog } from '../catalog/catalog.ts';
import { Fault } from '../model/fault.ts';
import { overrideKey } from '../model/key.ts';
import {
  byWhom,
  effectName,
  formatOverride,
  type Override,
  type OverrideTarget,
  overrideFields,
} from '../model/override.ts';
import type { Registry } from '../registry/registry.ts';
import { clearCommand, resumeCommand, undrainCommand } from '../settings/override.ts';
import { done } from './exit-code.ts';
import { readHeldOverrides } from './held-overrides.ts';
import { type CommandModule, type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { print, printJson, warn } from './outputs.ts';
import { readServices } from './read-service.ts';
import { nameOf, parseTarget } from './target.ts';

/** `pointsman clear SERVICE[/INSTANCE]`. */
export const clear: CommandModule = { run: (invocation) => end(invocation, clearCommand, undefined) };

/** `pointsman undrain SERVICE[/INSTANCE]`. */
export const undrain: CommandModule = { run: (invocation) => end(invocation, undrainCommand, 'drain') };

/** `pointsman resume SERVICE`. */
export const resume: CommandModule = { run: (invocation) => end(invocation, resumeCommand, 'pause') };

const past = { drain: 'drained', pause: 'paused' } as const;

/** Ends the override of the target; `only` refuses to end one of another kind. */
async function end(
  invocation: Invocation,
  command: typeof clearCommand | typeof undrainCommand | typeof resumeCommand,
  only: keyof typeof past | undefined,
): Promise<number> {
  const { json, ...settings } = await readInvocation(command, invocation);
  const target = parseTarget(invocation.operands[0] ?? '');
  const key = overrideKey(target.service, target.scope);
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  try {
    const catalog = await readServices(registry, [target.service], Date.now());
    const standing = catalog.overrides.get(target.service)?.get(target.scope);
    // One that is malformed, or over and not yet gone, has nothing to show and can be cleared all the same.
    const there = catalog.rejected.has(key) || catalog.accepted.has(key);
    const held = there ? undefined : await heldOn(registry, settings, catalog, target);
    const ends = standing ?? held;
    if (only !== undefined && ends !== undefined && ends.effect.kind !== only) {
      throw new Fault(
        'not-found',
        `${nameOf(target)} is not ${past[only]}: ${effectName(ends.effect)}${byWhom(ends)}`,
        {
          hint: `pointsman clear ${nameOf(target)} ends any override of it`,
        },
      );
    }
    // When a held entry is written again, balancers release it, and then the deletion counts.
    if (held !== undefined) await registry.write(key, formatOverride(held));
    const revision = await registry.remove(key);
    const warnings = remaining(catalog, target);
    if (json) {
      const ended = ends && overrideFields(ends);
      const { service, scope: instance } = target;
      const about = { service, instance, revision: revision && String(revision), ended, warnings };
      printJson(about);
      return done;
    }
    print(
      `${nameOf(target)}: ${describeEnd(ends)}${held === undefined ? '' : '; balancers held it'} (revision ${revision ?? 'none: the key was already gone'})\n`,
    );
    for (const warning of warnings) warn(warning);
    return done;
  } finally {
    await registry.close();
  }
}

const describeEnd = (standing: Override | undefined): string =>
  standing === undefined ? 'cleared' : `${effectName(standing.effect)}${byWhom(standing)} is ended`;

/** The override that a balancer holds. Rejects with Fault `not-found` when none says so. */
async function heldOn(
  registry: Registry,
  settings: Parameters<typeof readHeldOverrides>[1],
  catalog: Catalog,
  target: OverrideTarget,
): Promise<Override> {
  const { held, untold } = await readHeldOverrides(registry, settings);
  const found = held.find((one) => nameOf(one.target) === nameOf(target));
  if (found !== undefined) return found.override;
  throw nothingThere(catalog, target, untold);
}

function nothingThere({ overrides }: Catalog, { service, scope }: OverrideTarget, untold: readonly string[]): Fault {
  const ofService = overrides.get(service);
  const all = ofService?.get('*');
  if (scope !== '*' && all !== undefined) {
    return new Fault(
      'not-found',
      `${service}/${scope} has no override of its own: ${effectName(all.effect)} is for all of ${service}`,
      {
        hint: `pointsman clear ${service} ends that`,
      },
    );
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
