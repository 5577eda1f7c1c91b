import { userInfo } from 'node:os';
import type { Catalog } from '../catalog/catalog.ts';
import type { OverrideTarget } from '../catalog/overrides.ts';
import { Fault } from '../model/fault.ts';
import { formatOverride, type Override, type OverrideEffect, overrideFields } from '../model/override.ts';
import { parseWeight } from '../model/whole-number.ts';
import { didYouMean } from '../settings/nearest.ts';
import {
  drainCommand,
  maintenanceCommand,
  type OverrideSettings,
  pauseCommand,
  weightCommand,
} from '../settings/override.ts';
import { done } from './exit-code.ts';
import { type CommandModule, type Invocation, settle } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { outlookOf } from './outlook.ts';
import { readServices } from './read-service.ts';
import { keyOf, nameOf, parseTarget } from './target.ts';
import { warn } from './warn.ts';

// Balancers count `until - at` from when they see it; the key stays until all of them have.
const leaseSlackMs = 5000;

/** `pointsman drain SERVICE[/INSTANCE]`. */
export const drain: CommandModule = {
  run: async (invocation) => override(invocation, await settle(drainCommand, invocation), { kind: 'drain' }),
};

/** `pointsman maintenance SERVICE[/INSTANCE]`. */
export const maintenance: CommandModule = {
  run: async (invocation) =>
    override(invocation, await settle(maintenanceCommand, invocation), { kind: 'maintenance' }),
};

/** `pointsman weight SERVICE[/INSTANCE] WEIGHT`. */
export const weight: CommandModule = {
  run: async (invocation) => {
    const parsed = parseWeight(invocation.operands[1] ?? '');
    if (!parsed.ok) throw new Fault('usage', parsed.reason);
    return override(invocation, await settle(weightCommand, invocation), { kind: 'weight', weight: parsed.value });
  },
};

/** `pointsman pause SERVICE`. */
export const pause: CommandModule = {
  run: async (invocation) => {
    const [name = ''] = invocation.operands;
    if (parseTarget(name).scope !== '*') {
      throw new Fault('usage', `${name} is an instance: only a whole service can be paused`);
    }
    return override(invocation, await settle(pauseCommand, invocation), { kind: 'pause' });
  },
};

const undoing = { drain: 'undrain', maintenance: 'clear', weight: 'clear', pause: 'resume' } as const;

async function override(invocation: Invocation, settings: OverrideSettings, effect: OverrideEffect): Promise<number> {
  const target = parseTarget(invocation.operands[0] ?? '');
  const at = Date.now();
  const { forMs, why, force, json } = settings;
  const until = forMs === undefined ? undefined : at + forMs;
  const said: Override = { effect, who: whoIs(invocation), why, at, until };
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  try {
    const catalog = await readServices(registry, [target.service], at);
    const unknown = unknownTarget(catalog, target);
    if (unknown !== undefined && !force) throw unknown;
    const { says, instances, ready, replaces, warnings: others } = outlookOf(catalog, target, said, at);
    const warnings = unknown === undefined ? others : [`${unknown.message}; it waits for one`, ...others];
    const lasting = forMs === undefined ? {} : { ttlMs: forMs + leaseSlackMs };
    const revision = await registry.write(keyOf(target), formatOverride(said), lasting);
    if (json) {
      const replaced = replaces && overrideFields(replaces);
      const { service, scope: instance } = target;
      const about = {
        service,
        instance,
        ...overrideFields(said),
        revision: String(revision),
        instances,
        ready,
        replaced,
      };
      process.stdout.write(`${JSON.stringify({ ...about, warnings })}\n`);
      return done;
    }
    const undo = undoing[effect.kind];
    process.stdout.write(`${says}\n${ready} of ${instances} instances of ${target.service} take new requests\n`);
    process.stdout.write(`to end it: pointsman ${undo} ${nameOf(target)}   (revision ${revision})\n`);
    for (const warning of warnings) warn(warning);
    return done;
  } finally {
    await registry.close();
  }
}

const force = '--force says it all the same';

function unknownTarget({ services }: Catalog, { service, scope }: OverrideTarget): Fault | undefined {
  const found = services.get(service);
  if (found === undefined) {
    return new Fault('not-found', `no service ${service} is known`, { hint: force });
  }
  if (scope === '*' || found.registered.has(scope)) return undefined;
  const hint = didYouMean(
    `${service}/${scope}`,
    [...found.registered.keys()].map((id) => `${service}/${id}`),
  );
  return new Fault('not-found', `${service} has no instance ${scope}`, {
    hint: hint === undefined ? force : `${hint} ${force}`,
  });
}

/** `ada@desk`, for others to ask; nobody's proof. Under sudo it is the one who asked for it. */
function whoIs({ env, machine }: Invocation): string {
  return `${env['SUDO_USER'] || userName()}@${machine.hostname}`.replace(/[^\x21-\x7e]/g, '?').slice(0, 128);
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user often has no entry in /etc/passwd.
    return `uid${process.getuid?.() ?? '?'}`;
  }
}
