import { allDirty } from '../../model/dirty-set.ts';
import type { ServiceName } from '../../model/name.ts';
import { type RenderProblem, renderAll, renderDirty, withoutUnusedPolicies } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TemplateRole } from '../../render/template.ts';
import type { FrameSettings } from '../../render/view.ts';
import type { ExplainedProblem } from '../state/validation.ts';
import { type Attribution, attribute } from './attribution.ts';
import {
  type Candidate,
  instanceCandidate,
  lastGoodFormFor,
  type Quarantine,
  type Requested,
  sameTemplates,
  serviceCandidate,
  templateCandidate,
  templateChanged,
  templateRoles,
  templatesInUse,
  withQuarantined,
  withQuarantinedInstances,
} from './quarantine.ts';

/** What a configuration that HAProxy refused was made of. */
export type RefusedBuild = {
  readonly requested: Requested;
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
export function candidatesOf(quarantine: Quarantine, build: RefusedBuild): readonly Candidate[] {
  const { templates, changed, others } = candidatesByKind(quarantine, build);
  return [...templates, ...changed, ...others];
}

type CandidatesByKind = {
  readonly templates: readonly Candidate[];
  /** Services and instances that are new, or have another form. */
  readonly changed: readonly Candidate[];
  /** Services whose form HAProxy took. */
  readonly others: readonly Candidate[];
};

export function candidatesByKind(quarantine: Quarantine, build: RefusedBuild): CandidatesByKind {
  const { requested, desired, served } = build;
  const templates = changedTemplates(quarantine, requested);
  const changed: Candidate[] = [];
  const others: Candidate[] = [];
  for (const [name, backend] of desired.backends) {
    if (mayBeQuarantined(quarantine, build, name)) {
      const into =
        lastGoodFormFor(quarantine, requested, name) === undefined && served.backends.has(name) ? others : changed;
      into.push(serviceCandidate(name));
      continue;
    }
    const before = served.backends.get(name)?.servers;
    if (before === backend.servers) continue;
    for (const [id, line] of backend.servers) {
      if (before?.get(id) !== line) changed.push(instanceCandidate(name, id));
    }
  }
  return { templates: templates.map(templateCandidate), changed, others };
}

export function changedTemplates(quarantine: Quarantine, { templates }: Requested): readonly TemplateRole[] {
  return templateRoles.filter((role) => templateChanged(quarantine, templates, role));
}

/** Services for which HAProxy would listen on an address that it does not listen on yet, and that can be held. */
export function withNewListeners(quarantine: Quarantine, build: RefusedBuild): readonly ServiceName[] {
  const { desired, served } = build;
  const listensOn = (name: ServiceName, { base }: Rendered): string | undefined => {
    const text = `${base.before}${base.after}`;
    const opening = text.indexOf(`frontend _tcp-${name} `);
    return opening === -1 ? undefined : /^\s*bind .*$/m.exec(text.slice(opening))?.[0];
  };
  return [...desired.backends.keys()].filter((name) => {
    const address = listensOn(name, desired);
    return address !== undefined && address !== listensOn(name, served) && mayBeQuarantined(quarantine, build, name);
  });
}

/** Whether holding it, or leaving it out, would change what HAProxy is given, and may be done. */
export function mayBeQuarantined(quarantine: Quarantine, build: RefusedBuild, name: ServiceName): boolean {
  const { requested, served, cold, leaveOut = false } = build;
  const held = quarantine.services.get(name);
  if (leaveOut) return held === undefined || held.form !== undefined;
  if (held !== undefined) return false;
  if (lastGoodFormFor(quarantine, requested, name) !== undefined) return true;
  // What HAProxy serves is not cut off because something it was made from is missing now.
  return cold || (served.backends.get(name)?.servers.size ?? 0) === 0;
}

/** Reads answers of HAProxy one after the other: what one of them leaves open the next may tell. */
export function answerReader(
  quarantine: Quarantine,
  build: RefusedBuild,
): (problems: readonly ExplainedProblem[], rendered: Rendered) => Attribution {
  const { requested } = build;
  const changed = changedTemplates(quarantine, requested);
  const rules = {
    holdable: (name: ServiceName) => mayBeQuarantined(quarantine, build, name),
    hasForm: (name: ServiceName) =>
      build.leaveOut !== true && lastGoodFormFor(quarantine, requested, name) !== undefined,
    frameChanged: changed.includes('frame'),
  };
  const ofServices = changed.filter((role) => role !== 'frame');
  /** Names of services: one that is named with all of its instances is still one. */
  const seen = new Set<string>();
  let answers = 0;
  return (problems, rendered) => {
    const named = attribute(problems, rendered, rules);
    const services = [...named].filter(([candidate]) => !candidate.startsWith('templates/'));
    for (const [candidate] of services) seen.add(candidate.split('/')[1] ?? candidate);
    if (services.length > 0) answers += 1;
    const [first] = services;
    const many =
      seen.size >= rendered.backends.size ||
      seen.size > mostForOneTemplate.services ||
      answers > mostForOneTemplate.answers;
    if (first !== undefined && ofServices.length > 0 && many) {
      return new Map(ofServices.map((role) => [templateCandidate(role), first[1]]));
    }
    const templates = changed.map(templateCandidate);
    return new Map([...named].filter(([one]) => !one.startsWith('templates/') || templates.includes(one)));
  };
}

/** At a first start with nothing good behind it, serving nobody is no way out. */
export function leavesNobody(
  { good }: Quarantine,
  offenders: ReadonlyMap<Candidate, string>,
  { desired }: RefusedBuild,
): boolean {
  return good === undefined && [...desired.backends.keys()].every((name) => offenders.has(serviceCandidate(name)));
}

/** What was desired in the state `now`, with what `held` holds in its last good form, and what of that cannot be rendered. */
export function compose(
  now: Quarantine,
  held: Quarantine,
  { requested, desired, served }: RefusedBuild,
  frame: FrameSettings,
  anew: Iterable<ServiceName> = held.services.keys(),
): { readonly rendered: Rendered; readonly problems: readonly RenderProblem[] } {
  const { catalog, templating } = withQuarantined(held, requested);
  const start = withQuarantinedInstances(held, desired, served);
  const { rendered, problems } = sameTemplates(templatesInUse(now, requested.templates), templating)
    ? renderDirty(templating, frame, start, catalog, allDirty(anew))
    : renderAll(templating, frame, start, catalog);
  return { rendered: withoutUnusedPolicies(templating, frame, rendered), problems };
}
