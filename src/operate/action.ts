import * as v from 'valibot';
import { parseInstanceId, parseServiceName } from '../model/name.ts';
import {
  formatOverride,
  longestPauseMs,
  type Override,
  type OverrideEffect,
  type OverrideTarget,
  parseOverride,
} from '../model/override.ts';
import { accepted, type Parsed, rejected } from '../model/parsed.ts';
import type { Release } from '../registry/releases.ts';
import type { EndedKind } from './end-override.ts';
import { nameOf } from './target.ts';

/** What an operator wants. */
export type Action =
  | {
      readonly kind: 'set';
      readonly target: OverrideTarget;
      readonly effect: OverrideEffect;
      readonly forMs: number | undefined;
      readonly why: string | undefined;
    }
  | { readonly kind: 'end'; readonly target: OverrideTarget; readonly only: EndedKind | undefined }
  | { readonly kind: 'release'; readonly release: Release };

const shortestMs = 1000;
const longestMs = 30 * 86_400_000;

const name = v.pipe(v.string(), v.maxLength(256));
const target = { service: name, instance: v.optional(name) };
const lasting = {
  forMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(shortestMs), v.maxValue(longestMs))),
  why: v.optional(v.string()),
};
const schema = v.variant('action', [
  v.strictObject({ action: v.picklist(['drain', 'maintenance']), ...target, ...lasting }),
  v.strictObject({ action: v.literal('weight'), weight: v.number(), ...target, ...lasting }),
  v.strictObject({ action: v.literal('pause'), service: name, ...lasting }),
  v.strictObject({ action: v.picklist(['undrain', 'clear']), ...target }),
  v.strictObject({ action: v.literal('resume'), service: name }),
  v.strictObject({ action: v.literal('release'), service: name }),
]);

type Given = v.InferOutput<typeof schema>;

/** Reads an action as JSON gives it: `{"action":"drain","service":"web","instance":"web-1","forMs":600000,"why":"new disk"}`. */
export function parseAction(given: unknown): Parsed<Action> {
  const read = v.safeParse(schema, given, { abortEarly: true });
  if (!read.success) {
    const [issue] = read.issues;
    return rejected(`${v.getDotPath(issue) ?? 'the action'}: ${issue.message}`);
  }
  const { output } = read;
  const service = parseServiceName(output.service);
  if (!service.ok) return service;
  if (output.action === 'release') return accepted({ kind: 'release', release: service.value });
  const instance = 'instance' in output ? output.instance : undefined;
  const scope = instance === undefined ? accepted('*' as const) : parseInstanceId(instance);
  if (!scope.ok) return scope;
  return actionOn({ service: service.value, scope: scope.value }, output);
}

function actionOn(to: OverrideTarget, given: Exclude<Given, { action: 'release' }>): Parsed<Action> {
  switch (given.action) {
    case 'undrain':
      return accepted({ kind: 'end', target: to, only: 'drain' });
    case 'resume':
      return accepted({ kind: 'end', target: to, only: 'pause' });
    case 'clear':
      return accepted({ kind: 'end', target: to, only: undefined });
    default: {
      const { action, why, forMs } = given;
      const effect: OverrideEffect = action === 'weight' ? { kind: 'weight', weight: given.weight } : { kind: action };
      if (action === 'pause' && (forMs === undefined || forMs > longestPauseMs))
        return rejected('forMs: a pause lasts 1 s to 10 min');
      const set = { kind: 'set', target: to, effect, forMs, why: why === '' ? undefined : why } as const;
      // What is written has to be what balancers accept.
      const checked = parseOverride(formatOverride(overrideFor(set, undefined, 0)));
      return checked.ok ? accepted(set) : checked;
    }
  }
}

/** The override that is written. `who`: the operator, for others to ask. */
export const overrideFor = (
  { effect, forMs, why }: Pick<Extract<Action, { kind: 'set' }>, 'effect' | 'forMs' | 'why'>,
  who: string | undefined,
  at: number,
): Override => ({ effect, who, why, at, until: forMs === undefined ? undefined : at + forMs });

/** The command that does the same: `pointsman drain web/web-1 --for 10m --why 'new disk'`. */
export function commandOf(action: Action): string {
  switch (action.kind) {
    case 'release':
      return `pointsman release ${action.release}`;
    case 'end': {
      const command = { drain: 'undrain', pause: 'resume', any: 'clear' }[action.only ?? 'any'];
      return `pointsman ${command} ${nameOf(action.target)}`;
    }
    case 'set': {
      const { effect, forMs, why } = action;
      const weight = effect.kind === 'weight' ? ` ${effect.weight}` : '';
      const lasts = forMs === undefined ? '' : ` --for ${Math.round(forMs / 1000)}s`;
      return `pointsman ${effect.kind} ${nameOf(action.target)}${weight}${lasts}${why === undefined ? '' : ` --why ${quoted(why)}`}`;
    }
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
