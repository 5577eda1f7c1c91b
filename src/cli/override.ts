import type { Catalog } from '../catalog/catalog.ts';
import { Fleet } from '../fleet/fleet.ts';
import { Fault } from '../model/fault.ts';
import type { InstanceId } from '../model/name.ts';
import {
  type Override,
  type OverrideEffect,
  type OverrideTarget,
  overrideFields,
  takesOut,
} from '../model/override.ts';
import { formatDuration, parseWeight } from '../model/quantity.ts';
import { describeCounts, type Impact } from '../operate/impact.ts';
import { nameOf, parseTarget } from '../operate/target.ts';
import { previewOverride, writeOverride } from '../operate/write-override.ts';
import {
  drainCommand,
  maintenanceCommand,
  type OverrideSettings,
  pauseCommand,
  weightCommand,
} from '../settings/override.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { applied, describeNotApplied, drained, type FleetProgress, type Written } from './applied.ts';
import { done } from './exit-code.ts';
import { type CommandModule, type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { print, printJson, warn } from './outputs.ts';
import { startSpinner } from './spinner.ts';
import { whoIs } from './who-is.ts';

/** `pointsman drain SERVICE[/INSTANCE]`. */
export const drain: CommandModule = {
  run: async (invocation) => override(invocation, await readInvocation(drainCommand, invocation), { kind: 'drain' }),
};

/** `pointsman maintenance SERVICE[/INSTANCE]`. */
export const maintenance: CommandModule = {
  run: async (invocation) =>
    override(invocation, await readInvocation(maintenanceCommand, invocation), { kind: 'maintenance' }),
};

/** `pointsman weight SERVICE[/INSTANCE] WEIGHT`. */
export const weight: CommandModule = {
  run: async (invocation) => {
    const parsed = parseWeight(invocation.operands[1] ?? '');
    if (!parsed.ok) throw new Fault('usage', parsed.reason);
    return override(invocation, await readInvocation(weightCommand, invocation), {
      kind: 'weight',
      weight: parsed.value,
    });
  },
};

/** `pointsman pause SERVICE`. */
export const pause: CommandModule = {
  run: async (invocation) => {
    const [name = ''] = invocation.operands;
    if (parseTarget(name).scope !== '*') {
      throw new Fault('usage', `${name} is an instance: only a whole service can be paused`);
    }
    return override(invocation, await readInvocation(pauseCommand, invocation), { kind: 'pause' });
  },
};

const undoing = { drain: 'undrain', maintenance: 'clear', weight: 'clear', pause: 'resume' } as const;

/** How long a balancer is waited for that has nothing to do but to apply it. */
const applyMs = 3000;
/** etcd sends a watch the changes from before it up to 100 ms later. */
const followMs = 1000;

async function override(invocation: Invocation, settings: OverrideSettings, effect: OverrideEffect): Promise<number> {
  const target = parseTarget(invocation.operands[0] ?? '');
  const at = Date.now();
  const { forMs, why, force, json, waitMs } = settings;
  const until = forMs === undefined ? undefined : at + forMs;
  const said: Override = { effect, who: whoIs(invocation), why, at, until };
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  const fleet = new Fleet(registry);
  try {
    const [{ catalog, unknown, impact }] = await Promise.all([
      previewOverride(registry, target, said, at),
      fleet.following(timeLimit(followMs)),
    ]);
    if (unknown !== undefined && !force) throw unknown;
    const revision = await writeOverride(registry, target, said, at);
    const written = { revision, service: target.service, ids: targetedBy(catalog, target) };
    const outcome = await settled(fleet, written, waitMs, goalOf(said, waitMs !== undefined));
    const warnings = [
      ...(unknown === undefined ? [] : [`${unknown.message}; the override waits for one`]),
      ...impact.warnings,
      ...warningsOf(outcome),
    ];
    if (json) {
      const { instances, ready, replaces } = impact;
      const about = { service: target.service, instance: target.scope, ...overrideFields(said) };
      const replaced = replaces && overrideFields(replaces);
      printJson({ ...about, revision: String(revision), instances, ready, replaced, ...outcome, warnings });
    } else {
      print(`${describeWritten(target, effect, impact, outcome.balancers.length)}   (revision ${revision})\n`);
      for (const warning of warnings) warn(warning);
    }
    if (waitMs === undefined || outcome.missing.length === 0) return done;
    throw new Fault(
      'deadline',
      `the override is written, but not complete after ${formatDuration(waitMs)}: ${describeNotApplied(outcome)}`,
      {
        where: nameOf(target),
      },
    );
  } finally {
    await fleet.close();
    await registry.close();
  }
}

/** Whether each live balancer applied it. */
async function settled(
  fleet: Fleet,
  written: Written,
  waitMs: number | undefined,
  goal: 'applied' | 'drained' | 'paused',
): Promise<FleetProgress> {
  const spinner = startSpinner(process.stderr, 'waiting until each balancer has applied it');
  const say = (now: FleetProgress) => spinner.say(`waiting: ${describeNotApplied(now)}`);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), waitMs ?? applyMs);
  try {
    return goal === 'drained' && written.ids.length > 0
      ? await drained(fleet, written, limit.signal, say)
      : await applied(fleet, written, goal === 'paused' ? 'paused' : 'gone', limit.signal, say);
  } finally {
    clearTimeout(timer);
    spinner.stop();
  }
}

function goalOf(said: Override, waits: boolean): 'applied' | 'drained' | 'paused' {
  if (said.effect.kind === 'pause') return 'paused';
  return takesOut(said) && waits ? 'drained' : 'applied';
}

function warningsOf({ balancers, missing }: FleetProgress): readonly string[] {
  if (missing.length > 0) return [`not applied everywhere yet: ${describeNotApplied({ balancers, missing })}`];
  return balancers.length === 0 ? ['no balancer is alive; the override applies when one starts'] : [];
}

/** The lines about an override that was written. */
function describeWritten(target: OverrideTarget, effect: OverrideEffect, impact: Impact, by: number): string {
  const appliedBy = by === 0 ? '' : `; applied by ${by} balancer${by === 1 ? '' : 's'}`;
  const counts = `${describeCounts(target, effect, impact)}${appliedBy}`;
  return `${impact.says}\n${counts}\nto end it: pointsman ${undoing[effect.kind]} ${nameOf(target)}`;
}

/** The instances that it is about, as far as they are known. */
function targetedBy({ services, overrides }: Catalog, { service, scope }: OverrideTarget): readonly InstanceId[] {
  const ids = [...(services.get(service)?.registered.keys() ?? [])];
  const own = overrides.get(service);
  return ids.filter((id) => (scope === '*' ? own?.has(id) !== true : id === scope));
}
