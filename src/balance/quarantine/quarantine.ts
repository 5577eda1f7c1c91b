import { createHash } from 'node:crypto';
import type { Catalog } from '../../catalog/catalog.ts';
import { policyKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Policy } from '../../model/policy.ts';
import type { Revision } from '../../model/revision.ts';
import type { Templates, Templating } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TemplateRole } from '../../render/template.ts';

/** A service, an instance or a template, by its key: `templates/backend`, `services/web` or `instances/web/a`. */
export type Candidate = `templates/${TemplateRole}` | `services/${string}` | `instances/${string}/${string}`;

export const templateCandidate = (role: TemplateRole): Candidate => `templates/${role}`;

export const templateRoles = ['frame', 'policy', 'backend', 'server'] as const satisfies readonly TemplateRole[];

/** The policy and the templates that a service is rendered with. */
export type Form = {
  readonly policy: Policy;
  /** The text of the policy in the registry; undefined for the default policy. */
  readonly written: string | undefined;
  readonly templates: Templates;
};

type Refused = { readonly reason: string; readonly revision: Revision };

export type QuarantinedService = Refused & {
  /** The form that serves it; undefined: HAProxy never accepted one, so the service is left out. */
  readonly form: Form | undefined;
  /** A hash of the refused version. A version with another hash is tried. */
  readonly tried: string;
  /** The hash of a newer version. In quarantine it waits to be checked by itself; on trial it is the one that is tried. */
  readonly nextVersion?: string | undefined;
};
type QuarantinedInstance = Refused & {
  readonly service: ServiceName;
  readonly id: InstanceId;
  readonly line: string;
  /** Whether an earlier line of the instance serves. */
  readonly kept: boolean;
};
type QuarantinedTemplate = Refused & { readonly tried: string };

/** The newest catalog and templates that HAProxy accepted. */
type Good = {
  readonly catalog: Catalog;
  readonly templates: Templates;
  /** The services that were in quarantine then: HAProxy has not accepted their policies in `catalog`. */
  readonly quarantined: ReadonlyMap<ServiceName, QuarantinedService>;
};

/** The candidates that HAProxy refuses, and the forms that serve instead. */
export type Quarantine = {
  /** Undefined before HAProxy accepted anything. */
  readonly good: Good | undefined;
  readonly services: ReadonlyMap<ServiceName, QuarantinedService>;
  /** Services that changed since HAProxy refused them. They are tried; if HAProxy refuses them again, the last good form serves. */
  readonly onTrial: ReadonlyMap<ServiceName, QuarantinedService>;
  /** By `service/instance`. */
  readonly instances: ReadonlyMap<string, QuarantinedInstance>;
  readonly templates: ReadonlyMap<TemplateRole, QuarantinedTemplate>;
};

export const noQuarantine: Quarantine = {
  good: undefined,
  services: new Map(),
  onTrial: new Map(),
  instances: new Map(),
  templates: new Map(),
};

/** The catalog and the templates that the registry and the user ask for, whether HAProxy accepts them or not. */
export type Requested = { readonly catalog: Catalog; readonly templates: Templates };

/** The stage `quarantined` of the effective catalog: last good forms instead of what HAProxy refuses. */
export function withQuarantined(
  quarantine: Quarantine,
  requested: Requested,
): { catalog: Catalog; templating: Templating } {
  const { good, services, instances } = quarantine;
  const templates = templatesInUse(quarantine, requested.templates);
  const quarantined = new Map(
    [...services].flatMap(([name, { form }]) => (form ? [[name, form.templates] as const] : [])),
  );
  const catalog =
    services.size === 0
      ? requested.catalog
      : {
          ...requested.catalog,
          services: requested.catalog.services.withMutations((all) => {
            for (const [name, { form }] of services) {
              const service = all.get(name);
              if (service === undefined) continue;
              if (form === undefined) all.delete(name);
              else if (!requested.catalog.withheld.has(name))
                all.set(name, { ...service, policy: form.policy, declared: form.written !== undefined });
            }
          }),
        };
  return {
    catalog,
    templating: good === undefined ? requested.templates : { ...templates, quarantined, refused: instances },
  };
}

export function templatesInUse({ good, templates }: Quarantine, requested: Templates): Templates {
  if (good === undefined || templates.size === 0) return requested;
  const of = (role: TemplateRole) => (templates.has(role) ? good.templates[role] : requested[role]);
  return { frame: of('frame'), policy: of('policy'), backend: of('backend'), server: of('server') };
}

export function lastGoodForm({ good, services, onTrial }: Quarantine, name: ServiceName): Form | undefined {
  const known = services.get(name) ?? onTrial.get(name) ?? good?.quarantined.get(name);
  if (known !== undefined) return known.form;
  const service = good?.catalog.services.get(name);
  if (good === undefined || service === undefined) return undefined;
  return { policy: service.policy, written: writtenPolicy(good.catalog, name), templates: good.templates };
}

export const writtenPolicy = (catalog: Catalog, name: ServiceName): string | undefined =>
  catalog.accepted.get(policyKey(name))?.value;

/** The last good form of a service, if it differs from the requested one: then a quarantine of the service changes something. */
export function lastGoodFormFor(quarantine: Quarantine, requested: Requested, name: ServiceName): Form | undefined {
  const form = lastGoodForm(quarantine, name);
  return form !== undefined && hashOfForm(form.written, form.templates) !== hashOfRequested(quarantine, requested, name)
    ? form
    : undefined;
}

export function templateChanged({ good, templates }: Quarantine, requested: Templates, role: TemplateRole): boolean {
  return good !== undefined && !templates.has(role) && good.templates[role].text !== requested[role].text;
}

type RefusedConfig = {
  readonly requested: Requested;
  readonly desired: Rendered;
  readonly served: Rendered;
  /** Leaves services out instead of serving them in their last good forms. */
  readonly leaveOut?: boolean | undefined;
};

/** Quarantines the offenders, each with its reason. A service without a last good form is left out. */
export function withOffenders(
  quarantine: Quarantine,
  offenders: ReadonlyMap<Candidate, string>,
  { requested, desired, served, leaveOut = false }: RefusedConfig,
): Quarantine {
  const services = new Map(quarantine.services);
  const onTrial = new Map(quarantine.onTrial);
  const instances = new Map(quarantine.instances);
  const templates = new Map(quarantine.templates);
  const { revision } = requested.catalog;
  for (const [candidate, reason] of offenders) {
    const [area, first = '', second = ''] = candidate.split('/');
    if (area === 'templates') {
      const role = templateRoles.find((one) => one === first);
      if (role !== undefined) templates.set(role, { reason, revision, tried: hashOf(requested.templates[role].text) });
    } else if (area === 'services') {
      const name = first as ServiceName;
      const form = leaveOut ? undefined : lastGoodFormFor(quarantine, requested, name);
      services.set(name, { reason, revision, form, tried: hashOfRequested(quarantine, requested, name) });
      onTrial.delete(name);
    } else {
      const [service, id] = [first as ServiceName, second as InstanceId];
      const line = desired.backends.get(service)?.servers.get(id);
      const before = served.backends.get(service)?.servers.get(id);
      const kept = before !== undefined && before !== line;
      if (line !== undefined) instances.set(`${first}/${second}`, { reason, revision, service, id, line, kept });
    }
  }
  return { ...quarantine, services, onTrial, instances, templates };
}

/** `desired` with the lines that serve instead of those of quarantined instances, or without these instances. */
export function withQuarantinedInstances({ instances }: Quarantine, desired: Rendered, served: Rendered): Rendered {
  let { backends } = desired;
  for (const { service, id, line } of instances.values()) {
    const backend = backends.get(service);
    if (backend?.servers.get(id) !== line) continue;
    const before = served.backends.get(service)?.servers.get(id);
    const servers =
      before === undefined || before === line ? backend.servers.delete(id) : backend.servers.set(id, before);
    backends = backends.set(service, { ...backend, servers });
  }
  return backends === desired.backends ? desired : { ...desired, backends };
}

/** A hash of the form of a service that the registry and the user ask for. */
export function hashOfRequested(quarantine: Quarantine, { catalog, templates }: Requested, name: ServiceName): string {
  return hashOfForm(writtenPolicy(catalog, name), templatesInUse(quarantine, templates));
}

function hashOfForm(written: string | undefined, { policy, backend, server }: Templates): string {
  return hashOf(JSON.stringify([written ?? null, policy.text, backend.text, server.text]));
}

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

export function sameTemplates(a: Templates, b: Templates): boolean {
  return templateRoles.every((role) => a[role] === b[role]);
}
