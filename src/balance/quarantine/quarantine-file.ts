import * as v from 'valibot';
import { type Catalog, unlimited } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { noLimits } from '../../catalog/limits.ts';
import { parseServiceName, type ServiceName } from '../../model/name.ts';
import { defaultPolicy, parsePolicy } from '../../model/policy.ts';
import { revision } from '../../model/revision.ts';
import type { Change } from '../../registry/registry.ts';
import type { Templates } from '../../render/render.ts';
import { parseTemplate } from '../../render/template.ts';
import { readSaved, type Unusable } from '../state/saved-file.ts';
import {
  type Form,
  noQuarantine,
  type Quarantine,
  type QuarantinedService,
  templateRoles,
  writtenPolicy,
} from './quarantine.ts';

const template = v.object({ file: v.string(), text: v.string() });
const templates = v.object({ frame: template, policy: template, backend: template, server: template });
const refused = { reason: v.string(), revision: v.pipe(v.string(), v.regex(/^[0-9]{1,19}$/)), tried: v.string() };
const written = v.nullable(v.string());

const schema = v.object({
  format: v.literal(1),
  templates,
  /** Policies that HAProxy took last, of those services that ask for another one since. */
  unproven: v.array(v.tuple([v.string(), written])),
  services: v.array(v.object({ ...refused, service: v.string(), form: v.nullable(v.object({ written, templates })) })),
  held: v.array(v.object({ ...refused, role: v.picklist(templateRoles) })),
});

/**
 * What a balancer that starts again needs to serve the last good forms: beside the last known catalog, the templates and
 * policies that HAProxy took. Undefined while it took none.
 */
export function formatQuarantine(quarantine: Quarantine, catalog: Catalog): string | undefined {
  const { good, services, onTrial } = quarantine;
  if (good === undefined) return undefined;
  const unproven = [...catalog.services.keys()]
    .filter((name) => good.catalog.services.has(name))
    .map((name) => [name, writtenPolicy(good.catalog, name) ?? null] as const)
    .filter(([name, before]) => before !== (writtenPolicy(catalog, name) ?? null));
  const saved: v.InferInput<typeof schema> = {
    format: 1,
    templates: plain(good.templates),
    unproven: unproven.map(([name, before]) => [name, before]),
    // One that is on trial is held again by whoever starts on this, and tried again at once.
    services: [...new Map([...good.held, ...services, ...onTrial])].map(
      ([service, { reason, revision, tried, form }]) => ({
        service,
        reason,
        revision: String(revision),
        tried,
        form: form === undefined ? null : { written: form.written ?? null, templates: plain(form.templates) },
      }),
    ),
    held: [...quarantine.templates].map(([role, { reason, revision, tried }]) => ({
      role,
      reason,
      revision: String(revision),
      tried,
    })),
  };
  return JSON.stringify(saved);
}

/** Reads it back beside the catalog that was saved with it. Undefined when there is none; a reason when it is not usable. */
export function loadQuarantine(path: string, catalog: Catalog): Promise<Quarantine | Unusable | undefined> {
  return readSaved(path, (json): Quarantine => {
    const saved = v.parse(schema, json);
    const services = new Map<ServiceName, QuarantinedService>();
    for (const { service, reason, revision: at, tried, form } of saved.services) {
      const name = parseServiceName(service);
      if (!name.ok) continue;
      services.set(name.value, {
        reason,
        revision: revision(at),
        tried,
        form: form === null ? undefined : readForm(form),
      });
    }
    return {
      ...noQuarantine,
      good: { catalog: withPolicies(catalog, saved.unproven), templates: parsed(saved.templates), held: services },
      services,
      templates: new Map(
        saved.held.map(({ role, reason, revision: at, tried }) => [role, { reason, revision: revision(at), tried }]),
      ),
    };
  });
}

function plain(from: Templates): v.InferInput<typeof templates> {
  const of = ({ file, text }: Templates['frame']) => ({ file, text });
  return { frame: of(from.frame), policy: of(from.policy), backend: of(from.backend), server: of(from.server) };
}

function parsed(from: v.InferOutput<typeof templates>): Templates {
  const of = (role: keyof Templates) => parseTemplate(role, from[role].file, from[role].text);
  return { frame: of('frame'), policy: of('policy'), backend: of('backend'), server: of('server') };
}

/** Undefined when this pointsman reads the policy otherwise than the one that wrote it. */
function readForm(form: { written: string | null; templates: v.InferOutput<typeof templates> }): Form | undefined {
  const policy = form.written === null ? undefined : parsePolicy(form.written);
  if (policy?.ok === false) return undefined;
  return {
    policy: policy?.value ?? defaultPolicy,
    written: form.written ?? undefined,
    templates: parsed(form.templates),
  };
}

function withPolicies(catalog: Catalog, policies: readonly (readonly [string, string | null])[]): Catalog {
  const changes = policies.map(([name, value]): Change => {
    const key = `services/${name}`;
    if (value === null) return { kind: 'delete', key, revision: catalog.revision };
    return { kind: 'put', entry: { key, value, revision: catalog.revision, leased: false } };
  });
  return foldEvent(unlimited(catalog), { kind: 'changes', revision: catalog.revision, changes }, noLimits).catalog;
}
