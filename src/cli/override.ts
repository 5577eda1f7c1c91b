import { userInfo } from 'node:os';
import type { Catalog } from '../catalog/catalog.ts';
import { Fleet } from '../fleet/fleet.ts';
import { Fault } from '../model/fault.ts';
import { overrideKey } from '../model/key.ts';
import type { InstanceId } from '../model/name.ts';
import { didYouMean } from '../model/nearest.ts';
import {
  formatOverride,
  type Override,
  type OverrideEffect,
  type OverrideTarget,
  overrideFields,
  takesOut,
} from '../model/override.ts';
import { formatDuration, parseWeight } from '../model/quantity.ts';
import {
  drainCommand,
  maintenanceCommand,
  type OverrideSettings,
  pauseCommand,
  weightCommand,
} from '../settings/override.ts';
import { applied, describeNotApplied, drained, type FleetProgress, type Written } from './applied.ts';
import { done } from './exit-code.ts';
import { type Impact, impactOf } from './impact.ts';
import { type CommandModule, type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openRegistry } from './open-registry.ts';
import { print, printJson, warn } from './outputs.ts';
import { readServices } from './read-service.ts';
import { startSpinner } from './spinner.ts';
import { nameOf, parseTarget } from './target.ts';

// Balancers count `until - at` from when they see it; the key stays until all of them have.
const leaseSlackMs = 5000;

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
  const registry = await openRegistry(settings.registry, await createLogger(settings.log));
  const fleet = new Fleet(registry);
  try {
    const [catalog] = await Promise.all([
      readServices(registry, [target.service], at),
      fleet.following(AbortSignal.timeout(followMs)),
    ]);
    const unknown = unknownTarget(catalog, target);
    if (unknown !== undefined && !force) throw unknown;
    const impact = impactOf(catalog, target, said, at);
    const lasting = forMs === undefined ? {} : { ttlMs: forMs + leaseSlackMs };
    const revision = await registry.write(overrideKey(target.service, target.scope), formatOverride(said), lasting);
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
      print(`${describeWritten(target, effect.kind, impact, outcome.balancers.length)}   (revision ${revision})\n`);
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
  const spinner = startSpinner(process.stderr);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), waitMs ?? applyMs);
  try {
    return goal === 'drained' && written.ids.length > 0
      ? await drained(fleet, written, limit.signal, (now) => spinner.say(describeNotApplied(now)))
      : await applied(fleet, written, goal === 'paused' ? 'paused' : 'gone', limit.signal);
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
function describeWritten(target: OverrideTarget, kind: OverrideEffect['kind'], impact: Impact, by: number): string {
  const { says, instances, ready } = impact;
  const appliedBy = by === 0 ? '' : `; applied by ${by} balancer${by === 1 ? '' : 's'}`;
  const counts = `${ready} of ${instances} instances of ${target.service} take new requests${appliedBy}`;
  return `${says}\n${counts}\nto end it: pointsman ${undoing[kind]} ${nameOf(target)}`;
}

/** The instances that it is about, as far as they are known. */
function targetedBy({ services, overrides }: Catalog, { service, scope }: OverrideTarget): readonly InstanceId[] {
  const ids = [...(services.get(service)?.registered.keys() ?? [])];
  const own = overrides.get(service);
  return ids.filter((id) => (scope === '*' ? own?.has(id) !== true : id === scope));
}

const force = '--force writes the override anyway';

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

/** `ada@desk`, so that others can ask; no proof. Under sudo it is the user who ran sudo. */
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
