import { Map as PersistentMap } from 'immutable';
import type { Catalog } from '../catalog/catalog.ts';
import type { Service } from '../catalog/service.ts';
import { withSplit } from '../catalog/split.ts';
import { allDirty, type DirtySet } from '../model/dirty-set.ts';
import { describe, Fault } from '../model/fault.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { divisorOfWeights } from '../model/policy/balance.ts';
import { defaultPolicy, type Policy } from '../model/policy.ts';
import { checkPace, withCheckPace } from './check-pace.ts';
import type { Conflict } from './conflict.ts';
import { portsOfFrame } from './frame-ports.ts';
import { withOwnCertificate } from './own-certificate.ts';
import { type PolicySection, policiesInUse, policyOf, policyRenderer } from './policies.ts';
import { claimPorts, type Ports } from './ports.ts';
import type { Rendered, RenderedBackend } from './rendered.ts';

import { changeRoutes, conflictsOf, noRoutes } from './routes.ts';
import { type Section, splitAtSlot, type Template, type TemplateRole } from './template.ts';
import { backendView, type FrameSettings, frameView, serverView } from './view.ts';

export type Templates = Readonly<Record<TemplateRole, Template>>;

/** The templates, and what is rendered otherwise than by them. */
export type Templating = Templates & {
  /** Services that are made by other templates. */
  readonly quarantined?: ReadonlyMap<ServiceName, Templates>;
  /** By `service/instance`, a line that HAProxy refuses. Whoever had another before keeps it. */
  readonly refused?: ReadonlyMap<string, { readonly line: string; readonly reason: string }>;
};

/** Something that could not be rendered. What was rendered for it before goes on being served. */
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
  /** Undefined when no service as a whole was touched, so that there are those there were. */
  readonly conflicts: readonly Conflict[] | undefined;
};

/**
 * Renders the whole catalog: at the start and when templates changed. What cannot be rendered stays as it is in `previous`.
 * The default policy is there whether a service has it or not, so that a service to come is likely to find its own. Throws
 * Fault `template` if the frame or it fails.
 */
export function renderAll(
  templating: Templating,
  settings: FrameSettings,
  previous: Rendered,
  catalog: Catalog,
): RenderResult {
  const standing = policyRenderer(templating.policy, settings)(defaultPolicy);
  const policies = previous.policies.set(standing.name, standing.text);
  const everything = allDirty([...previous.backends.keys(), ...catalog.services.keys()]);
  return renderDirty(templating, settings, { ...previous, policies }, catalog, everything, standing);
}

/**
 * Renders what was touched and keeps the rest of `previous`: one touched instance costs one server line, whatever the
 * number of its siblings.
 */
export function renderDirty(
  templating: Templating,
  settings: FrameSettings,
  previous: Rendered,
  catalog: Catalog,
  dirty: DirtySet,
  /** The default policy, where everything is rendered. */
  standing?: PolicySection,
): RenderResult {
  const all = standing !== undefined;
  const problems: RenderProblem[] = [];
  const problem = (service: ServiceName, instance: InstanceId | undefined, error: unknown, lastGoodServes: boolean) =>
    problems.push({ service, instance, reason: describe(error), lastGoodServes });

  const backends = previous.backends.asMutable();
  const policies = previous.policies.asMutable();
  // What was read back may have been edited by hand, so it says nothing.
  const named = all ? new Map([[standing.name, standing.text]]) : policies;
  const renderPolicy = new Map<Template, ReturnType<typeof policyRenderer>>();
  let whole = all;
  for (const [name, mark] of dirty) {
    const found = catalog.services.get(name);
    whole ||= mark.whole;
    if (found === undefined) {
      backends.delete(name);
      continue;
    }
    const templates = templating.quarantined?.get(name) ?? templating;
    const known = backends.get(name);
    const pace = checkPace(found, known);
    const service = withOwnCertificate(withCheckPace(withSplit(found), pace));
    const weightDivisor = divisorOfWeights(service.policy.balance, service.instances.size);
    const fresh = known === undefined || mark.whole || dividesOtherwise(known, { weightDivisor });
    let section = known?.section;
    if (fresh) {
      const ofPolicy = renderPolicy.get(templates.policy) ?? policyRenderer(templates.policy, settings);
      renderPolicy.set(templates.policy, ofPolicy);
      try {
        section = renderAround(templates, settings, service, { policies, named }, ofPolicy);
      } catch (error) {
        problem(name, undefined, error, known !== undefined);
      }
    }
    if (section === undefined) continue;
    const base = known?.servers ?? PersistentMap<InstanceId, string>();
    const servers = base.withMutations((lines) => {
      if (fresh) for (const id of base.keys()) if (!service.instances.has(id)) lines.delete(id);
      for (const id of fresh ? service.instances.keys() : mark.instances) {
        const refusal = templating.refused?.get(`${name}/${id}`);
        renderServer(templates, settings, service, id, refusal, lines, (error) =>
          problem(name, id, error, lines.has(id)),
        );
      }
    });
    backends.set(name, { name, section, servers, checkPace: pace, weightDivisor });
  }

  const known = all ? undefined : previous.routeTable;
  const routeTable =
    known === undefined
      ? changeRoutes(noRoutes, catalog.services.keys(), catalog.services)
      : changeRoutes(known, dirty.keys(), catalog.services);
  const { routes: anew } = routeTable;
  const rendered = {
    ...previous,
    revision: catalog.revision,
    policies: policies.asImmutable(),
    backends: backends.asImmutable(),
    // The old value where both say the same, as with texts.
    routes: known === undefined && anew.equals(previous.routes) ? previous.routes : anew,
    routeTable,
  };
  if (!whole && known === routeTable) return { rendered, problems, conflicts: undefined };
  const tcp = [...routeTable.tcp].flatMap((name) => catalog.services.get(name) ?? []);
  const ofFrame = () => {
    const { before, after } = renderFrame(templating, settings, new Map());
    return portsOfFrame(`${before}\n${after}`, settings.bindHost);
  };
  const claimed = claimPorts(tcp, settings.reservedPorts, tcp.length === 0 ? new Set() : ofFrame());
  const frame = sameText(previous.frame, renderFrame(templating, settings, claimed.ports));
  const conflicts = [...conflictsOf(routeTable), ...claimed.conflicts];
  return { rendered: { ...rendered, frame }, problems, conflicts };
}

/** Whether all server lines differ because the weights are divided by another number. */
export function dividesOtherwise(one: Pick<RenderedBackend, 'weightDivisor'>, other: typeof one): boolean {
  return (one.weightDivisor ?? 1) !== (other.weightDivisor ?? 1);
}

function renderFrame(templates: Templates, settings: FrameSettings, ports: Ports): Section {
  return splitAtSlot(templates.frame.render(frameView(settings, ports)));
}

type Sections = {
  /** All that the configuration is to have. */
  readonly policies: PersistentMap<string, string>;
  /** Those that pointsman rendered since it began. */
  readonly named: Pick<Map<string, string>, 'get'> & { readonly set: (name: string, text: string) => unknown };
};

function renderAround(
  templates: Templates,
  settings: FrameSettings,
  service: Service,
  { policies, named }: Sections,
  renderPolicy: (policy: Policy) => PolicySection,
): Section {
  const { name, text } = renderPolicy(service.policy);
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

/** Without the policies that nothing needs: they end with the next reload. */
export function withoutUnusedPolicies(templates: Templates, settings: FrameSettings, rendered: Rendered): Rendered {
  const standing = new Set([policyRenderer(templates.policy, settings)(defaultPolicy).name]);
  return { ...rendered, policies: policiesInUse(rendered.policies, rendered.backends.values(), standing) };
}

function renderServer(
  templates: Templates,
  settings: FrameSettings,
  service: Service,
  id: InstanceId,
  refusal: { readonly line: string; readonly reason: string } | undefined,
  lines: PersistentMap<InstanceId, string>,
  onProblem: (error: unknown) => void,
): void {
  const instance = service.instances.get(id);
  if (instance === undefined) {
    lines.delete(id);
    return;
  }
  try {
    // HAProxy would ask the nameservers itself, and do nothing else until they answer.
    if (instance.address.family === 'name') throw new Fault('template', `${instance.address.host} is not resolved`);
    const text = templates.server.render(serverView(instance, service, settings));
    const line = text.trim().replace(/\s*\n\s*/g, ' ');
    if (!line.startsWith(`server ${id} `)) {
      throw new Fault('template', `it made ${JSON.stringify(line)} of ${service.name}/${id}`, {
        where: templates.server.file,
        hint: 'it has to begin: server {{id}} {{address}}',
      });
    }
    if (line === refusal?.line) throw new Fault('template', refusal.reason);
    lines.set(id, line);
  } catch (error) {
    onProblem(error);
  }
}

/** The old value where both say the same, so that identity tells later stages that nothing changed. */
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
  return ({ frame, policies, backends }) => {
    const sections = [...policies].sort(byName).map(([, text]) => text);
    const texts = [...backends].sort(byName).map(([, backend]) => backendText(backend));
    return frame.before + sections.join('') + texts.join('') + frame.after;
  };
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}
