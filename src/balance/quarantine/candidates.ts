import { allTouched } from '../../model/dirty-set.ts';
import type { ServiceName } from '../../model/name.ts';
import { type RenderProblem, renderAll, renderTouched, withoutUnusedPolicies } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TemplateRole } from '../../render/template.ts';
import type { FrameSettings } from '../../render/view.ts';
import type { ExplainedProblem } from '../state/state-files.ts';
import { type Attribution, blame } from './attribution.ts';
import {
  type Asked,
  formToHold,
  instanceSuspect,
  type Quarantine,
  type Suspect,
  sameTemplates,
  serviceSuspect,
  templateChanged,
  templateRoles,
  templateSuspect,
  templatesInUse,
  withHeld,
  withHeldInstances,
} from './quarantine.ts';

/** What a configuration that HAProxy refused was made of. */
export type Suspicion = {
  readonly asked: Asked;
  readonly desired: Rendered;
  readonly served: Rendered;
  /** HAProxy does not run: what cannot be had in a good form is left out, so that the others are served. */
  readonly cold: boolean;
  /** The last good forms are refused as well: services are left out instead of being held in them. False unless it is said. */
  readonly leaveOut?: boolean | undefined;
};

// Where a template changed, and HAProxy then names more services than these, or others in more answers than these, it is
// the template.
export const mostForOneTemplate = { services: 8, answers: 2 };

/** Everything that differs from what HAProxy took last, and can be held; the most likely first. */
export function suspectsOf(quarantine: Quarantine, suspicion: Suspicion): readonly Suspect[] {
  const { templates, changed, others } = suspectsByKind(quarantine, suspicion);
  return [...templates, ...changed, ...others];
}

type SuspectsByKind = {
  readonly templates: readonly Suspect[];
  /** Services and instances that are new, or have another form. */
  readonly changed: readonly Suspect[];
  /** Services whose form HAProxy took. */
  readonly others: readonly Suspect[];
};

export function suspectsByKind(quarantine: Quarantine, suspicion: Suspicion): SuspectsByKind {
  const { asked, desired, served } = suspicion;
  const templates = changedTemplates(quarantine, asked);
  const changed: Suspect[] = [];
  const others: Suspect[] = [];
  for (const [name, backend] of desired.backends) {
    if (isHoldable(quarantine, suspicion, name)) {
      const into = formToHold(quarantine, asked, name) === undefined && served.backends.has(name) ? others : changed;
      into.push(serviceSuspect(name));
      continue;
    }
    const before = served.backends.get(name)?.servers;
    if (before === backend.servers) continue;
    for (const [id, line] of backend.servers) {
      if (before?.get(id) !== line) changed.push(instanceSuspect(name, id));
    }
  }
  return { templates: templates.map(templateSuspect), changed, others };
}

export function changedTemplates(quarantine: Quarantine, { templates }: Asked): readonly TemplateRole[] {
  return templateRoles.filter((role) => templateChanged(quarantine, templates, role));
}

/** Services for which HAProxy would listen on an address that it does not listen on yet, and that can be held. */
export function withNewListeners(quarantine: Quarantine, suspicion: Suspicion): readonly ServiceName[] {
  const { desired, served } = suspicion;
  const listensOn = (name: ServiceName, { frame }: Rendered): string | undefined => {
    const text = `${frame.before}${frame.after}`;
    const opening = text.indexOf(`frontend _tcp-${name} `);
    return opening === -1 ? undefined : /^\s*bind .*$/m.exec(text.slice(opening))?.[0];
  };
  return [...desired.backends.keys()].filter((name) => {
    const address = listensOn(name, desired);
    return address !== undefined && address !== listensOn(name, served) && isHoldable(quarantine, suspicion, name);
  });
}

/** Whether holding it, or leaving it out, would change what HAProxy is given, and may be done. */
export function isHoldable(quarantine: Quarantine, suspicion: Suspicion, name: ServiceName): boolean {
  const { asked, served, cold, leaveOut = false } = suspicion;
  const held = quarantine.services.get(name);
  if (leaveOut) return held === undefined || held.form !== undefined;
  if (held !== undefined) return false;
  if (formToHold(quarantine, asked, name) !== undefined) return true;
  // What HAProxy serves is not cut off because something it was made from is missing now.
  return cold || (served.backends.get(name)?.servers.size ?? 0) === 0;
}

/** Reads answers of HAProxy one after the other: what one of them leaves open the next may tell. */
export function answerReader(
  quarantine: Quarantine,
  suspicion: Suspicion,
): (problems: readonly ExplainedProblem[], rendered: Rendered) => Attribution {
  const { asked } = suspicion;
  const changed = changedTemplates(quarantine, asked);
  const rules = {
    holdable: (name: ServiceName) => isHoldable(quarantine, suspicion, name),
    hasForm: (name: ServiceName) => suspicion.leaveOut !== true && formToHold(quarantine, asked, name) !== undefined,
    frameChanged: changed.includes('frame'),
  };
  const ofServices = changed.filter((role) => role !== 'frame');
  /** Names of services: one that is named with all of its instances is still one. */
  const seen = new Set<string>();
  let answers = 0;
  return (problems, rendered) => {
    const named = blame(problems, rendered, rules);
    const services = [...named].filter(([suspect]) => !suspect.startsWith('templates/'));
    for (const [suspect] of services) seen.add(suspect.split('/')[1] ?? suspect);
    if (services.length > 0) answers += 1;
    const [first] = services;
    const many =
      seen.size >= rendered.backends.size ||
      seen.size > mostForOneTemplate.services ||
      answers > mostForOneTemplate.answers;
    if (first !== undefined && ofServices.length > 0 && many) {
      return new Map(ofServices.map((role) => [templateSuspect(role), first[1]]));
    }
    const templates = changed.map(templateSuspect);
    return new Map([...named].filter(([one]) => !one.startsWith('templates/') || templates.includes(one)));
  };
}

/** At a first start with nothing good behind it, serving nobody is no way out. */
export function leavesNobody(
  { good }: Quarantine,
  culprits: ReadonlyMap<Suspect, string>,
  { desired }: Suspicion,
): boolean {
  return good === undefined && [...desired.backends.keys()].every((name) => culprits.has(serviceSuspect(name)));
}

/** What was desired in the state `now`, with what `held` holds in its last good form, and what of that cannot be rendered. */
export function compose(
  now: Quarantine,
  held: Quarantine,
  { asked, desired, served }: Suspicion,
  frame: FrameSettings,
  anew: Iterable<ServiceName> = held.services.keys(),
): { readonly rendered: Rendered; readonly problems: readonly RenderProblem[] } {
  const { catalog, templating } = withHeld(held, asked);
  const start = withHeldInstances(held, desired, served);
  const { rendered, problems } = sameTemplates(templatesInUse(now, asked.templates), templating)
    ? renderTouched(templating, frame, start, catalog, allTouched(anew))
    : renderAll(templating, frame, start, catalog);
  return { rendered: withoutUnusedPolicies(templating, frame, rendered), problems };
}
