import { type OverrideTarget, overrideFields } from '../model/override.ts';
import { describeEnd, type EndedKind, endOverride, type HeldAnswer, planEnd } from '../operate/end-override.ts';
import { nameOf, parseTarget } from '../operate/target.ts';
import type { Registry } from '../registry/registry.ts';
import { clearCommand, resumeCommand, undrainCommand } from '../settings/override.ts';
import { done } from './exit-code.ts';
import { readHeldOverrides } from './held-overrides.ts';
import { type CommandModule, type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { print, printJson, warn } from './outputs.ts';

/** `pointsman clear SERVICE[/INSTANCE]`. */
export const clear: CommandModule = { run: (invocation) => end(invocation, clearCommand, undefined) };

/** `pointsman undrain SERVICE[/INSTANCE]`. */
export const undrain: CommandModule = { run: (invocation) => end(invocation, undrainCommand, 'drain') };

/** `pointsman resume SERVICE`. */
export const resume: CommandModule = { run: (invocation) => end(invocation, resumeCommand, 'pause') };

/** Ends the override of the target; `only` refuses to end one of another kind. */
async function end(
  invocation: Invocation,
  command: typeof clearCommand | typeof undrainCommand | typeof resumeCommand,
  only: EndedKind | undefined,
): Promise<number> {
  const { json, ...settings } = await readInvocation(command, invocation);
  const target = parseTarget(invocation.operands[0] ?? '');
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  try {
    const findHeld = () => heldOn(registry, settings, target);
    const plan = await planEnd(registry, target, { only, wall: Date.now(), findHeld });
    const revision = await endOverride(registry, target, plan);
    const { ends, held, warnings } = plan;
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

/** The override that a balancer holds, and the balancers that cannot be asked. */
async function heldOn(
  registry: Registry,
  settings: Parameters<typeof readHeldOverrides>[1],
  target: OverrideTarget,
): Promise<HeldAnswer> {
  const { held, untold } = await readHeldOverrides(registry, settings);
  return { override: held.find((one) => nameOf(one.target) === nameOf(target))?.override, untold };
}
