import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { RenderProblem } from '../../render/render.ts';
import {
  hashOf,
  hashOfRequested,
  lastGoodForm,
  lastGoodFormFor,
  type Quarantine,
  type QuarantinedService,
  type Requested,
  templatesInUse,
  writtenPolicy,
} from './quarantine.ts';

export type Reviewed = {
  readonly quarantine: Quarantine;
  /** The services to render again, because another form serves them now. */
  readonly services: readonly ServiceName[];
  /** Whether everything is to be rendered again, because a template is in use again. */
  readonly all: boolean;
};

/**
 * Tries what changed since HAProxy refused it, and removes what is not requested any more. `alone`: services whose next version
 * has to be checked by itself first, each with the reason. Their last good form serves until then.
 */
export function review(
  quarantine: Quarantine,
  requested: Requested,
  alone: ReadonlyMap<ServiceName, string> = new Map(),
): Reviewed {
  const { good, instances } = quarantine;
  const count = quarantine.services.size + quarantine.onTrial.size + instances.size + quarantine.templates.size;
  if (count + alone.size === 0) return { quarantine, services: [], all: false };
  const templates = new Map(
    [...quarantine.templates].filter(([role, { tried }]) => hashOf(requested.templates[role].text) === tried),
  );
  const isThere = ([name]: readonly [ServiceName, unknown]) => requested.catalog.services.has(name);
  const now: Quarantine = { ...quarantine, templates };
  const services = new Map([...quarantine.services].filter(isThere));
  const onTrial = new Map([...quarantine.onTrial].filter(isThere));
  const changed: ServiceName[] = [];
  for (const [name, one] of services) {
    const nextVersion = hashOfRequested(now, requested, name);
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

/** Quarantines a service before HAProxy refuses its newest version. Undefined: HAProxy accepted that version by itself. */
function suspend(
  quarantine: Quarantine,
  requested: Requested,
  name: ServiceName,
  reason: string,
): QuarantinedService | undefined {
  const nextVersion = hashOfRequested(quarantine, requested, name);
  const trial = quarantine.onTrial.get(name);
  const form = lastGoodForm(quarantine, name);
  if (quarantine.good === undefined || trial?.nextVersion === nextVersion) return undefined;
  if (form !== undefined && lastGoodFormFor(quarantine, requested, name) === undefined) return undefined;
  return { reason, revision: requested.catalog.revision, form, tried: trial?.tried ?? '', nextVersion };
}

/** Tries services although they did not change: a file that they need may be there now. */
export function tryAgain(quarantine: Quarantine, names: ReadonlySet<ServiceName>, requested: Requested): Quarantine {
  const of = (tried: boolean) => [...quarantine.services].filter(([name]) => names.has(name) === tried);
  const trying = of(true).map(([name, one]): [ServiceName, QuarantinedService] => [
    name,
    { ...one, nextVersion: hashOfRequested(quarantine, requested, name) },
  ]);
  return { ...quarantine, services: new Map(of(false)), onTrial: new Map([...quarantine.onTrial, ...trying]) };
}

/**
 * The quarantine after HAProxy loaded `requested`. `then` is the quarantine with which that configuration was made. A service that was in
 * quarantine then and is on trial now stays on trial: HAProxy loaded its last good form, not the new one. A service that is in quarantine
 * now and was not then gets the form that HAProxy just loaded as its last good form.
 */
export function proven(now: Quarantine, { catalog, templates }: Requested, then: Quarantine = now): Quarantine {
  const good = { catalog, templates: templatesInUse(then, templates), quarantined: then.services };
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

/** The quarantine without the instances that were rendered again and have another line now. */
export function withoutChangedLines(
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
