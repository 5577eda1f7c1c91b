import { Map as PersistentMap } from 'immutable';
import type { Catalog } from '../catalog/catalog.ts';
import type { Service } from '../catalog/service.ts';
import { withSplit } from '../catalog/split.ts';
import { allDirty, type DirtyService, type DirtySet } from '../model/dirty-set.ts';
import { describe, Fault } from '../model/fault.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { divisorOfWeights } from '../model/policy/balance.ts';
import { defaultPolicy } from '../model/policy.ts';
import { type BaseSettings, baseView, portOfHttps } from './base-view.ts';
import { withChallenges } from './challenge-routes.ts';
import { checkPace, withCheckPace } from './check-pace.ts';
import type { Conflict } from './conflict.ts';
import { canMatch, withoutMatches } from './matched-routes.ts';
import { namesBesideHttps } from './names-beside-https.ts';
import { withOwnCertificate } from './own-certificate.ts';
import { type PolicySection, policiesInUse, policyOf, policyRenderer } from './policies.ts';
import { claimPorts, type Ports, portsOfBase } from './ports.ts';
import type { Rendered, RenderedBackend } from './rendered.ts';
import { changeRoutes, conflictsOf, noRoutes } from './routes.ts';
import { type Section, splitAtSlot, type Template, type TemplateRole } from './template.ts';
import { backendView, serverView } from './view.ts';

export type Templates = Readonly<Record<TemplateRole, Template>>;

/** The templates, and the exceptions to them. */
export type Templating = Templates & {
  /** Services that other templates render. */
  readonly quarantined?: ReadonlyMap<ServiceName, Templates>;
  /** By `service/instance`, a line that HAProxy refuses. An instance that had another line before keeps that one. */
  readonly refused?: ReadonlyMap<string, { readonly line: string; readonly reason: string }>;
};

/** Something that could not be rendered. HAProxy goes on serving its former rendering. */
export type RenderProblem = {
  readonly service: ServiceName;
  /** Undefined when it is the service as a whole. */
  readonly instance: InstanceId | undefined;
  readonly reason: string;
  readonly lastGoodServes: boolean;
};

export type RenderResult = {
  readonly rendered: Rendered;
  readonly problems: readonly RenderProblem[];
  /** Undefined when no service changed as a whole: the conflicts are the same as before. */
  readonly conflicts: readonly Conflict[] | undefined;
};

/** The input of a rendering. */
type RenderRequest = {
  readonly templating: Templating;
  readonly settings: BaseSettings;
  readonly previous: Rendered;
  readonly catalog: Catalog;
  readonly dirty: DirtySet;
  /** The section of the default policy, when the whole catalog is rendered. */
  readonly defaultSection?: PolicySection;
};

/**
 * Renders the whole catalog: at the start and when templates changed. A part that cannot be rendered stays as it is in `previous`.
 * The default policy is there whether a service has it or not, so that a service to come is likely to find its own. Throws
 * Fault `template` if the base configuration or the default policy cannot be rendered.
 */
export function renderAll(
  templating: Templating,
  settings: BaseSettings,
  previous: Rendered,
  catalog: Catalog,
): RenderResult {
  const defaultSection = policyRenderer(templating.policy, settings)(defaultPolicy);
  const policies = previous.policies.set(defaultSection.name, defaultSection.text);
  const dirty = allDirty([...previous.backends.keys(), ...catalog.services.keys()]);
  return render({ templating, settings, previous: { ...previous, policies }, catalog, dirty, defaultSection });
}

/**
 * Renders the services and instances in `dirty`, and keeps the rest of `previous`: a changed instance costs one server line,
 * however many instances its service has.
 */
export const renderDirty = (
  templating: Templating,
  settings: BaseSettings,
  previous: Rendered,
  catalog: Catalog,
  dirty: DirtySet,
): RenderResult => render({ templating, settings, previous, catalog, dirty });

function render(request: RenderRequest): RenderResult {
  const { templating, settings, previous, catalog, dirty, defaultSection } = request;
  const { problems, ...sections } = renderServices(request);
  const known = defaultSection === undefined ? previous.routeTable : undefined;
  // Without these rules, HAProxy would take a list of matches for the name of a service.
  const routable = canMatch(templating) ? catalog.services : withoutMatches(catalog.services);
  const routeTable =
    known === undefined
      ? changeRoutes(noRoutes, catalog.services.keys(), routable, catalog.certified)
      : changeRoutes(known, dirty.keys(), routable, catalog.certified);
  const rendered = { ...previous, revision: catalog.revision, ...sections, routeTable };
  const wholeService = [...dirty.values()].some(({ whole }) => whole);
  if (!wholeService && known === routeTable) return { rendered, problems, conflicts: undefined };
  const tcp = [...routeTable.tcp].flatMap((name) => catalog.services.get(name) ?? []);
  const ofBase = () => {
    const { before, after } = renderBase(templating, settings, new Map());
    return portsOfBase(`${before}\n${after}`, settings.bindHost);
  };
  const https = portOfHttps(settings);
  const { reservedPorts: reserved } = settings;
  const claimed = claimPorts(tcp, { reserved, ofTemplate: tcp.length === 0 ? new Set() : ofBase(), https });
  const asksCertificates = catalog.services.some(({ policy }) => policy.auth?.certificate !== undefined);
  const base = sameText(previous.base, renderBase(templating, settings, claimed.ports, asksCertificates));
  const besideHttps = https === undefined ? undefined : namesBesideHttps(routeTable, tcp, https);
  const conflicts = [...conflictsOf(routeTable), ...claimed.conflicts, ...(besideHttps?.conflicts ?? [])];
  const routes = withChallenges(besideHttps?.routes ?? routeTable.routes, catalog, templating, settings);
  return {
    rendered: { ...rendered, base, routes: routes.equals(previous.routes) ? previous.routes : routes },
    problems,
    conflicts,
  };
}

/** Whether all server lines differ because the weights are divided by another number. */
export function dividesOtherwise(one: Pick<RenderedBackend, 'weightDivisor'>, other: typeof one): boolean {
  return (one.weightDivisor ?? 1) !== (other.weightDivisor ?? 1);
}

function renderBase(templates: Templates, settings: BaseSettings, ports: Ports, asksCertificates = false): Section {
  return splitAtSlot(templates.frame.render(baseView(settings, ports, asksCertificates)));
}

/** The values that all services of one rendering share. */
type Batch = {
  readonly templating: Templating;
  readonly settings: BaseSettings;
  /** The policies of the configuration. */
  readonly policies: PersistentMap<string, string>;
  /** The policies that pointsman rendered since it began. */
  readonly named: Pick<Map<string, string>, 'get'> & { readonly set: (name: string, text: string) => unknown };
  readonly rendererOf: (template: Template) => ReturnType<typeof policyRenderer>;
  readonly problems: RenderProblem[];
};

function renderServices(
  request: RenderRequest,
): Pick<Rendered, 'backends' | 'policies'> & { readonly problems: readonly RenderProblem[] } {
  const { templating, settings, previous, catalog, dirty, defaultSection } = request;
  const backends = previous.backends.asMutable();
  const policies = previous.policies.asMutable();
  // A configuration that was read back may have been edited by hand, so its policies do not count.
  const named = defaultSection === undefined ? policies : new Map([[defaultSection.name, defaultSection.text]]);
  const renderers = new Map<Template, ReturnType<typeof policyRenderer>>();
  const rendererOf = (template: Template) => {
    const renderer = renderers.get(template) ?? policyRenderer(template, settings);
    renderers.set(template, renderer);
    return renderer;
  };
  const problems: RenderProblem[] = [];
  const batch = { templating, settings, policies, named, rendererOf, problems };
  for (const [name, mark] of dirty) {
    const service = catalog.services.get(name);
    const backend = service && renderService(batch, service, mark, backends.get(name));
    if (service === undefined) backends.delete(name);
    else if (backend !== undefined) backends.set(name, backend);
  }
  return { backends: backends.asImmutable(), policies: policies.asImmutable(), problems };
}

/** The backend of a service; undefined when it cannot be rendered and was not before. */
function renderService(
  batch: Batch,
  found: Service,
  mark: DirtyService,
  known: RenderedBackend | undefined,
): RenderedBackend | undefined {
  const { templating, settings, problems } = batch;
  const { name } = found;
  const templates = templating.quarantined?.get(name) ?? templating;
  const pace = checkPace(found, known);
  const service = withOwnCertificate(withCheckPace(withSplit(found), pace));
  const weightDivisor = divisorOfWeights(service.policy.balance, service.instances.size);
  const fresh = known === undefined || mark.whole || dividesOtherwise(known, { weightDivisor });
  const problem = (instance: InstanceId | undefined, error: unknown, lastGoodServes: boolean) =>
    problems.push({ service: name, instance, reason: describe(error), lastGoodServes });
  let section = known?.section;
  if (fresh) {
    try {
      section = renderSection(batch, templates, service);
    } catch (error) {
      problem(undefined, error, known !== undefined);
    }
  }
  if (section === undefined) return undefined;
  const before = known?.servers ?? PersistentMap<InstanceId, string>();
  const servers = before.withMutations((lines) => {
    if (fresh) for (const id of before.keys()) if (!service.instances.has(id)) lines.delete(id);
    for (const id of fresh ? service.instances.keys() : mark.instances) {
      const instance = service.instances.get(id);
      if (instance === undefined) {
        lines.delete(id);
        continue;
      }
      try {
        const line = renderServer(templates, settings, service, instance);
        const refusal = templating.refused?.get(`${name}/${id}`);
        if (line === refusal?.line) throw new Fault('template', refusal.reason);
        lines.set(id, line);
      } catch (error) {
        problem(id, error, lines.has(id));
      }
    }
  });
  return { name, section, servers, checkPace: pace, weightDivisor };
}

/** The text of a backend around its server lines. Throws Fault `template`. */
function renderSection(
  { settings, policies, named, rendererOf }: Batch,
  templates: Templates,
  service: Service,
): Section {
  const { name, text } = rendererOf(templates.policy)(service.policy);
  const section = splitAtSlot(templates.backend.render(backendView(service, name, settings)));
  // An own backend template may write everything out instead.
  if (policyOf(section) !== name) return section;
  if ((named.get(name) ?? text) !== text) {
    throw new Fault('template', `another policy has the name ${name} already`, {
      where: templates.policy.file,
      hint: 'change anything in the policy of this service',
    });
  }
  named.set(name, text);
  policies.set(name, text);
  return section;
}

/** The line of a server. Throws Fault `template`. */
function renderServer(templates: Templates, settings: BaseSettings, service: Service, instance: Instance): string {
  // HAProxy would ask the nameservers itself, and do nothing else until they answer.
  if (instance.address.family === 'name') throw new Fault('template', `${instance.address.host} is not resolved`);
  const text = templates.server.render(serverView(instance, service, settings));
  const line = text.trim().replace(/\s*\n\s*/g, ' ');
  if (line.startsWith(`server ${instance.id} `)) return line;
  throw new Fault('template', `it rendered ${JSON.stringify(line)} of ${service.name}/${instance.id}`, {
    where: templates.server.file,
    hint: 'it must begin: server {{id}} {{address}}',
  });
}

/** Without the policies that nothing needs: they end with the next reload. */
export function withoutUnusedPolicies(templates: Templates, settings: BaseSettings, rendered: Rendered): Rendered {
  const always = new Set([policyRenderer(templates.policy, settings)(defaultPolicy).name]);
  return { ...rendered, policies: policiesInUse(rendered.policies, rendered.backends.values(), always) };
}

/** The old value where both have the same text, so that later stages see by identity that nothing changed. */
function sameText(before: Section, after: Section): Section {
  return before.before === after.before && before.indent === after.indent && before.after === after.after
    ? before
    : after;
}

/** Makes haproxy.cfg of what was rendered. Keeps each backend's text, so that a change costs the joining only. */
export function configWriter(): (rendered: Rendered) => string {
  const kept = new WeakMap<RenderedBackend, string>();
  const backendText = (backend: RenderedBackend): string => {
    const known = kept.get(backend);
    if (known !== undefined) return known;
    const { before, indent, after } = backend.section;
    const lines = [...backend.servers].sort(byName).map(([, line]) => `${indent}${line}\n`);
    const text = before + lines.join('') + after;
    kept.set(backend, text);
    return text;
  };
  return ({ base, policies, backends }) => {
    const sections = [...policies].sort(byName).map(([, text]) => text);
    const texts = [...backends].sort(byName).map(([, backend]) => backendText(backend));
    return base.before + sections.join('') + texts.join('') + base.after;
  };
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}
