import { createHash } from 'node:crypto';
import type { Catalog } from '../../catalog/catalog.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Policy } from '../../model/policy.ts';
import type { Revision } from '../../model/revision.ts';
import type { RenderProblem, Templates, Templating } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { TemplateRole } from '../../render/template.ts';

/** Something that can be held in its last good form, by its key: `templates/backend`, `services/web`, `instances/web/a`. */
export type Candidate = `templates/${TemplateRole}` | `services/${string}` | `instances/${string}/${string}`;

export const templateCandidate = (role: TemplateRole): Candidate => `templates/${role}`;
export const serviceCandidate = (service: ServiceName): Candidate => `services/${service}`;
export const instanceCandidate = (service: ServiceName, id: InstanceId): Candidate => `instances/${service}/${id}`;

export const templateRoles = ['frame', 'policy', 'backend', 'server'] as const satisfies readonly TemplateRole[];

/** What a service is made from, beside its instances. */
export type Form = {
  readonly policy: Policy;
  /** The policy as the registry holds it; undefined for the default one. */
  readonly written: string | undefined;
  readonly templates: Templates;
};

type Refused = { readonly reason: string; readonly revision: Revision };

export type QuarantinedService = Refused & {
  /** What it is served by meanwhile; undefined when HAProxy never took it, so that it is left out. */
  readonly form: Form | undefined;
  /** Names what was refused: another name, and it is tried again. */
  readonly tried: string;
  /** Names a newer version: while held, the one that waits to be checked by itself; on trial, the one that is tried. */
  readonly nextVersion?: string | undefined;
};
type QuarantinedInstance = Refused & {
  readonly service: ServiceName;
  readonly id: InstanceId;
  /** What HAProxy refuses. */
  readonly line: string;
  /** Another line of it is served, from before. */
  readonly kept: boolean;
};
type QuarantinedTemplate = Refused & { readonly tried: string };

/** The newest of everything that HAProxy took. */
type Good = {
  readonly catalog: Catalog;
  readonly templates: Templates;
  /** Those that were held when HAProxy took it: their policies in `catalog` were not part of it. */
  readonly held: ReadonlyMap<ServiceName, QuarantinedService>;
};

/** What HAProxy refuses, and what stands in for it. A value. */
export type Quarantine = {
  /** Undefined before HAProxy took anything. */
  readonly good: Good | undefined;
  readonly services: ReadonlyMap<ServiceName, QuarantinedService>;
  /** Those that changed since they were refused: tried again, their last good form kept for a relapse. */
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

/** What the registry and the user's templates ask for, whether HAProxy takes it or not. */
export type Requested = { readonly catalog: Catalog; readonly templates: Templates };

/** What is rendered instead of what is asked for. */
export function withQuarantined(
  quarantine: Quarantine,
  requested: Requested,
): { catalog: Catalog; templating: Templating } {
  const { good, services, instances } = quarantine;
  const templates = templatesInUse(quarantine, requested.templates);
  const held = new Map([...services].flatMap(([name, { form }]) => (form ? [[name, form.templates] as const] : [])));
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
              else all.set(name, { ...service, policy: form.policy, declared: form.written !== undefined });
            }
          }),
        };
  return {
    catalog,
    templating: good === undefined ? requested.templates : { ...templates, quarantined: held, refused: instances },
  };
}

export function templatesInUse({ good, templates }: Quarantine, requested: Templates): Templates {
  if (good === undefined || templates.size === 0) return requested;
  const of = (role: TemplateRole) => (templates.has(role) ? good.templates[role] : requested[role]);
  return { frame: of('frame'), policy: of('policy'), backend: of('backend'), server: of('server') };
}

/** The last form of a service that HAProxy took. */
function lastGoodForm({ good, services, onTrial }: Quarantine, name: ServiceName): Form | undefined {
  const held = services.get(name) ?? onTrial.get(name) ?? good?.held.get(name);
  if (held !== undefined) return held.form;
  const service = good?.catalog.services.get(name);
  if (good === undefined || service === undefined) return undefined;
  return { policy: service.policy, written: writtenPolicy(good.catalog, name), templates: good.templates };
}

export const writtenPolicy = (catalog: Catalog, name: ServiceName): string | undefined =>
  catalog.accepted.get(`services/${name}`)?.value;

/** A last good form that differs from what is asked for, so that holding the service changes something. */
export function lastGoodFormFor(quarantine: Quarantine, requested: Requested, name: ServiceName): Form | undefined {
  const form = lastGoodForm(quarantine, name);
  return form !== undefined && nameOfForm(form.written, form.templates) !== nameOfAsked(quarantine, requested, name)
    ? form
    : undefined;
}

export function templateChanged({ good, templates }: Quarantine, requested: Templates, role: TemplateRole): boolean {
  return good !== undefined && !templates.has(role) && good.templates[role].text !== requested[role].text;
}

/** What a configuration that HAProxy refused was made of; `leaveOut`: its services are to be left out, not held in their last good forms. */
type RefusedConfig = {
  readonly requested: Requested;
  readonly desired: Rendered;
  readonly served: Rendered;
  readonly leaveOut?: boolean | undefined;
};

/** Holds these. What cannot be held, because nothing of it was ever good, is left out. */
export function hold(
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
      if (role !== undefined) templates.set(role, { reason, revision, tried: nameOf(requested.templates[role].text) });
    } else if (area === 'services') {
      const name = first as ServiceName;
      const form = leaveOut ? undefined : lastGoodFormFor(quarantine, requested, name);
      services.set(name, { reason, revision, form, tried: nameOfAsked(quarantine, requested, name) });
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

/** What is to be rendered anew because it is held, or is not any more. */
export type Reviewed = {
  readonly quarantine: Quarantine;
  readonly services: readonly ServiceName[];
  readonly all: boolean;
};

/**
 * Tries again what changed since HAProxy refused it, and forgets what is not asked for any more. `alone`: services whose next
 * version has to be checked by itself first, each with why. They stay in their last good form, or go back to it.
 */
export function review(
  quarantine: Quarantine,
  requested: Requested,
  alone: ReadonlyMap<ServiceName, string> = new Map(),
): Reviewed {
  const { good, instances } = quarantine;
  const held = quarantine.services.size + quarantine.onTrial.size + instances.size + quarantine.templates.size;
  if (held + alone.size === 0) return { quarantine, services: [], all: false };
  const templates = new Map(
    [...quarantine.templates].filter(([role, { tried }]) => nameOf(requested.templates[role].text) === tried),
  );
  const isThere = ([name]: readonly [ServiceName, unknown]) => requested.catalog.services.has(name);
  const now: Quarantine = { ...quarantine, templates };
  const services = new Map([...quarantine.services].filter(isThere));
  const onTrial = new Map([...quarantine.onTrial].filter(isThere));
  const changed: ServiceName[] = [];
  for (const [name, one] of services) {
    const nextVersion = nameOfAsked(now, requested, name);
    if (nextVersion === one.tried) {
      if (one.nextVersion !== undefined) services.set(name, { ...one, nextVersion: undefined });
      continue;
    }
    const why = alone.get(name);
    if (why !== undefined && (one.form === undefined || lastGoodFormFor(now, requested, name) !== undefined)) {
      if (nextVersion !== one.nextVersion) services.set(name, { ...one, reason: why, nextVersion });
      continue;
    }
    services.delete(name);
    onTrial.set(name, { ...one, nextVersion });
    changed.push(name);
  }
  for (const [name, why] of alone) {
    if (services.has(name) || !requested.catalog.services.has(name)) continue;
    const suspended = suspend(now, requested, name, why);
    if (suspended === undefined) continue;
    services.set(name, suspended);
    onTrial.delete(name);
    changed.push(name);
  }
  return {
    quarantine: {
      good,
      templates,
      services,
      onTrial,
      instances: new Map(
        [...instances].filter(([, { service, id }]) => requested.catalog.services.get(service)?.instances.has(id)),
      ),
    },
    services: changed,
    all: templates.size !== quarantine.templates.size,
  };
}

/** Holds a service that is not held, before HAProxy refuses it again; undefined where that version was checked by itself. */
function suspend(
  quarantine: Quarantine,
  requested: Requested,
  name: ServiceName,
  reason: string,
): QuarantinedService | undefined {
  const nextVersion = nameOfAsked(quarantine, requested, name);
  const trial = quarantine.onTrial.get(name);
  const form = lastGoodForm(quarantine, name);
  if (quarantine.good === undefined || trial?.nextVersion === nextVersion) return undefined;
  if (form !== undefined && lastGoodFormFor(quarantine, requested, name) === undefined) return undefined;
  return { reason, revision: requested.catalog.revision, form, tried: trial?.tried ?? '', nextVersion };
}

/** Tries these again although nothing of them changed: what they need from outside may be there now. */
export function tryAgain(quarantine: Quarantine, names: ReadonlySet<ServiceName>, requested: Requested): Quarantine {
  const of = (tried: boolean) => [...quarantine.services].filter(([name]) => names.has(name) === tried);
  const trying = of(true).map(([name, one]): [ServiceName, QuarantinedService] => [
    name,
    { ...one, nextVersion: nameOfAsked(quarantine, requested, name) },
  ]);
  return { ...quarantine, services: new Map(of(false)), onTrial: new Map([...quarantine.onTrial, ...trying]) };
}

/**
 * HAProxy serves everything that `withQuarantined` gave for this in the state `then`. What changed since the reload began and is
 * tried again, but was held then, has proven nothing. What is held only since then was part of it: that is its last good form.
 */
export function proven(now: Quarantine, { catalog, templates }: Requested, then: Quarantine = now): Quarantine {
  const good = { catalog, templates: templatesInUse(then, templates), held: then.services };
  const services = new Map(now.services);
  for (const [name, one] of services) {
    const policy = catalog.services.get(name)?.policy;
    if (then.services.has(name) || policy === undefined) continue;
    services.set(name, {
      ...one,
      form: { policy, written: writtenPolicy(catalog, name), templates: good.templates },
    });
  }
  return { ...now, good, services, onTrial: new Map([...now.onTrial].filter(([name]) => then.services.has(name))) };
}

/** Instances that were rendered anew, and not refused again, have another line now. */
export function withoutMended(
  quarantine: Quarantine,
  wasRendered: (service: ServiceName, id: InstanceId) => boolean,
  problems: readonly RenderProblem[],
): Quarantine {
  const refused = new Set(problems.map(({ service, instance }) => `${service}/${instance}`));
  const instances = new Map(
    [...quarantine.instances].filter(([key, { service, id }]) => refused.has(key) || !wasRendered(service, id)),
  );
  return instances.size === quarantine.instances.size ? quarantine : { ...quarantine, instances };
}

/** `desired` with the held instances as they are served, or without them. */
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

function nameOfAsked(quarantine: Quarantine, { catalog, templates }: Requested, name: ServiceName): string {
  return nameOfForm(writtenPolicy(catalog, name), templatesInUse(quarantine, templates));
}

function nameOfForm(written: string | undefined, { policy, backend, server }: Templates): string {
  return nameOf(JSON.stringify([written ?? null, policy.text, backend.text, server.text]));
}

const nameOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

export function sameTemplates(a: Templates, b: Templates): boolean {
  return templateRoles.every((role) => a[role] === b[role]);
}
