import { allDirty } from '../../model/dirty-set.ts';
import { areaOfKey, instanceKey, policyKey, serviceOfKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import { type RenderProblem, renderAll, renderDirty, withoutUnusedPolicies } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TemplateRole } from '../../render/template.ts';
import type { ExplainedProblem } from '../state/validation.ts';
import { type Attribution, attribute } from './attribution.ts';
import {
  type Candidate,
  lastGoodFormFor,
  type Quarantine,
  type Requested,
  sameTemplates,
  templateCandidate,
  templateChanged,
  templateRoles,
  templatesInUse,
  withQuarantined,
  withQuarantinedInstances,
} from './quarantine.ts';

/** A configuration that HAProxy refused, and the parts that it was made of. */
export type RefusedBuild = {
  readonly requested: Requested;
  readonly desired: Rendered;
  readonly served: Rendered;
  /** HAProxy does not run: services without a last good form are left out, so that the others are served. */
  readonly cold: boolean;
  /** HAProxy refuses the last good forms as well: services are left out. */
  readonly leaveOut?: boolean | undefined;
};

// If a template changed, and HAProxy names more services than these, or names services in more answers than these, the template
// is the offender.
export const mostForOneTemplate = { services: 8, answers: 2 };

type CandidatesByKind = {
  readonly templates: readonly Candidate[];
  /** Services and instances that are new, or have another form. */
  readonly changed: readonly Candidate[];
  /** Services in a form that HAProxy accepted. */
  readonly others: readonly Candidate[];
};

/** Everything that differs from what HAProxy accepted last and can be quarantined. */
export function candidatesByKind(quarantine: Quarantine, build: RefusedBuild): CandidatesByKind {
  const { requested, desired, served } = build;
  const templates = changedTemplates(quarantine, requested);
  const changed: Candidate[] = [];
  const others: Candidate[] = [];
  for (const [name, backend] of desired.backends) {
    if (mayBeQuarantined(quarantine, build, name)) {
      const into =
        lastGoodFormFor(quarantine, requested, name) === undefined && served.backends.has(name) ? others : changed;
      into.push(policyKey(name));
      continue;
    }
    const before = served.backends.get(name)?.servers;
    if (before === backend.servers) continue;
    for (const [id, line] of backend.servers) {
      if (before?.get(id) !== line) changed.push(instanceKey(name, id));
    }
  }
  return { templates: templates.map(templateCandidate), changed, others };
}

export function changedTemplates(quarantine: Quarantine, { templates }: Requested): readonly TemplateRole[] {
  return templateRoles.filter((role) => templateChanged(quarantine, templates, role));
}

/** Services with an address on which HAProxy does not listen yet, if they can be quarantined. */
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

/** Whether a quarantine of the service would change the configuration, and is allowed. */
export function mayBeQuarantined(quarantine: Quarantine, build: RefusedBuild, name: ServiceName): boolean {
  const { requested, served, cold, leaveOut = false } = build;
  const known = quarantine.services.get(name);
  if (leaveOut) return known === undefined || known.form !== undefined;
  if (known !== undefined) return false;
  if (lastGoodFormFor(quarantine, requested, name) !== undefined) return true;
  // A service that HAProxy serves is not left out because a file that it needs is missing now.
  return cold || (served.backends.get(name)?.servers.size ?? 0) === 0;
}

/** Returns a function that reads the answers of a search one after the other: several answers together may show a template. */
export function answerReader(
  quarantine: Quarantine,
  build: RefusedBuild,
): (problems: readonly ExplainedProblem[], rendered: Rendered) => Attribution {
  const { requested } = build;
  const changed = changedTemplates(quarantine, requested);
  const rules = {
    mayBeQuarantined: (name: ServiceName) => mayBeQuarantined(quarantine, build, name),
    hasForm: (name: ServiceName) =>
      build.leaveOut !== true && lastGoodFormFor(quarantine, requested, name) !== undefined,
    frameChanged: changed.includes('frame'),
  };
  const ofServices = changed.filter((role) => role !== 'frame');
  /** Names of services: a service counts once, however many of its instances are named. */
  const seen = new Set<string>();
  let answers = 0;
  return (problems, rendered) => {
    const named = attribute(problems, rendered, rules);
    const services = [...named].filter(([candidate]) => areaOfKey(candidate) !== 'templates');
    for (const [candidate] of services) seen.add(serviceOfKey(candidate) ?? candidate);
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
    return new Map([...named].filter(([one]) => areaOfKey(one) !== 'templates' || templates.includes(one)));
  };
}

/** Whether all services would be left out at a first start, when HAProxy has accepted nothing so far. */
export function leavesNone(
  { good }: Quarantine,
  offenders: ReadonlyMap<Candidate, string>,
  { desired }: RefusedBuild,
): boolean {
  return good === undefined && [...desired.backends.keys()].every((name) => offenders.has(policyKey(name)));
}

/** Renders `requested` with the quarantine `trial` instead of `now`. `dirty`: the services that differ. */
export function compose(
  now: Quarantine,
  trial: Quarantine,
  { requested, desired, served }: RefusedBuild,
  baseSettings: BaseSettings,
  dirty: Iterable<ServiceName> = trial.services.keys(),
): { readonly rendered: Rendered; readonly problems: readonly RenderProblem[] } {
  const { catalog, templating } = withQuarantined(trial, requested);
  const start = withQuarantinedInstances(trial, desired, served);
  const { rendered, problems } = sameTemplates(templatesInUse(now, requested.templates), templating)
    ? renderDirty(templating, baseSettings, start, catalog, allDirty(dirty))
    : renderAll(templating, baseSettings, start, catalog);
  return { rendered: withoutUnusedPolicies(templating, baseSettings, rendered), problems };
}
