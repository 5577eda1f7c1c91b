import { policyKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import type { RenderProblem } from '../../render/render.ts';
import type { BaseSettings } from '../../render/view.ts';
import { changedTemplates, compose, mayBeQuarantined, mostForOneTemplate, type RefusedBuild } from './candidates.ts';
import { type Candidate, lastGoodFormFor, type Quarantine, templateCandidate, withOffenders } from './quarantine.ts';

/**
 * The offenders among services that cannot be rendered as requested, each with the reason. Without a quarantine the routes of a new
 * policy would lead to the rules of the former one. If many services fail with a new template, the template is the offender.
 */
export function unrenderable(
  quarantine: Quarantine,
  build: RefusedBuild,
  problems: readonly RenderProblem[],
  baseSettings: BaseSettings,
): ReadonlyMap<Candidate, string> {
  const failed = new Map<ServiceName, string>();
  for (const problem of problems) {
    const { service, reason } = problem;
    if (failed.has(service) || !mayBeQuarantined(quarantine, build, service)) continue;
    if (problem.instance === undefined || isOfPolicy(quarantine, build, problem, baseSettings))
      failed.set(service, reason);
  }
  const [first] = failed.values();
  if (first === undefined) return new Map();
  const templates = changedTemplates(quarantine, build.requested).filter((role) => role !== 'frame');
  const isMany = failed.size > mostForOneTemplate.services || failed.size >= build.requested.catalog.services.size;
  if (templates.length > 0 && isMany) return new Map(templates.map((role) => [templateCandidate(role), first]));
  return new Map([...failed].map(([name, reason]) => [policyKey(name), reason]));
}

/** Whether the new form of the service is the reason why an instance cannot be rendered. */
function isOfPolicy(
  quarantine: Quarantine,
  build: RefusedBuild,
  { service, instance, reason, lastGoodServes }: RenderProblem,
  baseSettings: BaseSettings,
): boolean {
  if (!lastGoodServes || lastGoodFormFor(quarantine, build.requested, service) === undefined) return false;
  const trial = withOffenders(quarantine, new Map([[policyKey(service), reason]]), build);
  const { problems } = compose(quarantine, trial, build, baseSettings, [service]);
  return !problems.some((other) => other.service === service && other.instance === instance);
}
