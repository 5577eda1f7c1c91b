import { areaOfKey, policyKey } from '../../model/key.ts';
import type { Reloaded } from '../reload/reloads.ts';
import { answerReader, candidatesByKind, type RefusedBuild, withNewListeners } from './candidates.ts';
import { type Candidate, type Quarantine, templateCandidate, templateChanged } from './quarantine.ts';

export type FailedReload = Extract<Reloaded, { kind: 'failed' }>;

// A machine that is short of memory for a moment is no fault of a template.
const enoughFailures = 3;

/**
 * The offenders of a reload that failed although HAProxy had accepted the configuration, the first that apply: the candidates that
 * the answer names; services with a new address to listen on, which a validation does not try everywhere; after some failures a
 * changed frame; then all services that changed. A reload that timed out, or whose result is unknown, says nothing about services.
 */
export function offendersOf(
  quarantine: Quarantine,
  { reason, refused, failures }: FailedReload,
  build: RefusedBuild,
): ReadonlyMap<Candidate, string> {
  const named = namedIn(quarantine, reason, build);
  if (named.size > 0) return named;
  const listeners = refused ? withNewListeners(quarantine, build).map(policyKey) : [];
  if (listeners.length > 0) return oneOf(listeners, 'with a new port', reason);
  if (failures < enoughFailures) return new Map();
  if (templateChanged(quarantine, build.requested.templates, 'frame'))
    return new Map([[templateCandidate('frame'), reason]]);
  const changed = refused ? candidatesByKind(quarantine, build).changed : [];
  return oneOf(
    changed.filter((one) => areaOfKey(one) === 'services'),
    'that changed',
    reason,
  );
}

function namedIn(quarantine: Quarantine, reason: string, build: RefusedBuild): ReadonlyMap<Candidate, string> {
  const line = /\[\/[^\]\s]*:(\d+)\]/.exec(reason)?.[1];
  const problem = { line: line === undefined ? undefined : Number(line), text: reason, reason };
  return answerReader(quarantine, build)([problem], build.desired);
}

function oneOf(candidates: readonly Candidate[], which: string, reason: string): ReadonlyMap<Candidate, string> {
  const why = candidates.length === 1 ? reason : `one of ${candidates.length} ${which}: ${reason}`;
  return new Map(candidates.map((candidate) => [candidate, why]));
}
