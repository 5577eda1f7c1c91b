import type { ServiceName } from '../../model/name.ts';
import type { RenderProblem } from '../../render/render.ts';
import type { FrameSettings } from '../../render/view.ts';
import { changedTemplates, compose, isHoldable, mostForOneTemplate, type Suspicion } from './candidates.ts';
import { formToHold, hold, type Quarantine, type Suspect, serviceSuspect, templateSuspect } from './quarantine.ts';

/**
 * Whom to hold because services cannot be rendered as they are asked for, each with the reason. Without it the routes of a
 * new policy would lead to the rules of the former one. Many services that fail with a new template are the template's.
 */
export function unrenderable(
  quarantine: Quarantine,
  suspicion: Suspicion,
  problems: readonly RenderProblem[],
  frame: FrameSettings,
): ReadonlyMap<Suspect, string> {
  const failed = new Map<ServiceName, string>();
  for (const problem of problems) {
    const { service, reason } = problem;
    if (failed.has(service) || !isHoldable(quarantine, suspicion, service)) continue;
    if (problem.instance === undefined || isOfPolicy(quarantine, suspicion, problem, frame))
      failed.set(service, reason);
  }
  const [first] = failed.values();
  if (first === undefined) return new Map();
  const templates = changedTemplates(quarantine, suspicion.asked).filter((role) => role !== 'frame');
  const isMany = failed.size > mostForOneTemplate.services || failed.size >= suspicion.asked.catalog.services.size;
  if (templates.length > 0 && isMany) return new Map(templates.map((role) => [templateSuspect(role), first]));
  return new Map([...failed].map(([name, reason]) => [serviceSuspect(name), reason]));
}

/** Whether an instance that has a line cannot be rendered because of its service's new form, and not because of its own. */
function isOfPolicy(
  quarantine: Quarantine,
  suspicion: Suspicion,
  { service, instance, reason, lastGoodServes }: RenderProblem,
  frame: FrameSettings,
): boolean {
  if (!lastGoodServes || formToHold(quarantine, suspicion.asked, service) === undefined) return false;
  const held = hold(quarantine, new Map([[serviceSuspect(service), reason]]), suspicion);
  const { problems } = compose(quarantine, held, suspicion, frame, [service]);
  return !problems.some((other) => other.service === service && other.instance === instance);
}
