import type { Catalog } from '../catalog/catalog.ts';
import { foldEvent } from '../catalog/fold-event.ts';
import { noLimits } from '../catalog/limits.ts';
import { readiness } from '../catalog/overrides.ts';
import { formatInstant } from '../model/instant.ts';
import { overrideKey } from '../model/key.ts';
import {
  byWhom,
  effectName,
  formatOverride,
  type Override,
  type OverrideEffect,
  type OverrideTarget,
  takesOut,
} from '../model/override.ts';
import { type Balance, isHashed, keepsShares } from '../model/policy/balance.ts';
import { formatDuration } from '../model/quantity.ts';
import { revision } from '../model/revision.ts';
import { nameOf } from './target.ts';

/** The effect of an override, before it is written. */
export type Impact = {
  /** Its effect, as a sentence. */
  readonly says: string;
  /** Of the service, after it. */
  readonly instances: number;
  readonly ready: number;
  readonly replaces: Override | undefined;
  readonly warnings: readonly string[];
};

/** `until 2026-01-31T09:30:00Z (10m)`, or that it has no end. */
export function untilWhen({ until }: Override, wall: number): string {
  if (until === undefined) return 'until it is cleared';
  return `until ${formatInstant(until)} (${formatDuration(until - wall)})`;
}

/** The catalog with the override, and the effects that an operator may not expect. */
export function impactOf(catalog: Catalog, target: OverrideTarget, override: Override, wall: number): Impact {
  const { service, scope } = target;
  const key = overrideKey(target.service, target.scope);
  const entry = { key, value: formatOverride(override), revision: revision(0n), leased: true };
  const put = { kind: 'changes', revision: revision(0n), changes: [{ kind: 'put', entry }] } as const;
  const after = foldEvent(catalog, put, noLimits);
  const found = after.catalog.services.get(service);
  const { instances, ready } = found === undefined ? { instances: 0, ready: 0 } : readiness(found.instances);
  const own = [...(catalog.overrides.get(service) ?? [])].filter(([id]) => id !== '*');
  const replaces = catalog.overrides.get(service)?.get(scope);
  const warnings: string[] = [];
  if (replaces !== undefined) {
    warnings.push(`this replaces ${effectName(replaces.effect)}${byWhom(replaces)}`);
  }
  if (scope === '*') {
    for (const [id, { effect }] of own) {
      warnings.push(`${service}/${id} keeps its own override: ${effectName(effect)}`);
    }
  } else {
    const state = found?.registered.get(scope)?.state;
    if (state === 'draining' || state === 'maintenance') {
      warnings.push(`the registration of ${nameOf(target)} says ${state}, which stays`);
    }
  }
  if (instances > 0 && ready === 0 && takesOut(override)) {
    const page = found?.suspended?.kind === 'maintenance' ? ' and the maintenance page' : '';
    warnings.push(`no instance of ${service} is left: HAProxy answers its requests with 503${page}`);
  }
  const balance = found?.policy.balance;
  if (override.effect.kind === 'weight' && override.effect.weight > 0 && balance !== undefined) {
    const note = weightNote(balance);
    if (note !== undefined) warnings.push(`${service} has the balance ${balance.kind}: ${note}`);
  }
  const until = untilWhen(override, wall);
  return {
    says: `${subject(target, instances)}: ${consequence(override.effect)}, ${until}`,
    instances,
    ready,
    replaces,
    warnings,
  };
}

/** Why a weight is no share of the requests; undefined where it is one. */
function weightNote(balance: Balance): string | undefined {
  if (keepsShares(balance)) return undefined;
  if (isHashed(balance)) return 'a weight is a share of the hash values, not of the requests';
  return balance.kind === 'first'
    ? 'weights have no effect'
    : 'a smaller weight means fewer open requests, and makes no difference while few are open';
}

/** How many instances of the service take new requests after the override. */
export function describeCounts(
  { service }: OverrideTarget,
  { kind }: OverrideEffect,
  { instances, ready }: Pick<Impact, 'instances' | 'ready'>,
): string {
  if (kind === 'pause') return `no instance of ${service} takes new requests until then`;
  return `${ready} of ${instances} instances of ${service} take new requests`;
}

function subject(target: OverrideTarget, instances: number): string {
  if (target.scope !== '*') return nameOf(target);
  return `${target.service} (${instances} instance${instances === 1 ? '' : 's'})`;
}

function consequence(effect: OverrideEffect): string {
  switch (effect.kind) {
    case 'drain':
      return 'no new requests, open ones go on';
    case 'maintenance':
      return 'no requests, no health checks';
    case 'weight':
      return effect.weight === 0 ? 'weight 0: no new requests, open ones go on' : `weight ${effect.weight}`;
    case 'pause':
      return 'requests wait';
  }
}
