import * as v from 'valibot';
import { type Catalog, unlimited } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { noLimits } from '../../catalog/limits.ts';
import { policyKey } from '../../model/key.ts';
import { parseServiceName, type ServiceName } from '../../model/name.ts';
import { defaultPolicy, parsePolicy } from '../../model/policy.ts';
import { revision } from '../../model/revision.ts';
import type { Change } from '../../registry/registry.ts';
import type { Templates } from '../../render/render.ts';
import { parseTemplate } from '../../render/template.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import { readSaved, type Unusable } from '../state/saved-file.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { Storage } from '../state/storage.ts';
import {
  type Form,
  noQuarantine,
  type Quarantine,
  type QuarantinedService,
  templateRoles,
  writtenPolicy,
} from './quarantine.ts';

type QuarantineFileParts = {
  readonly path: string;
  readonly files: Pick<StateFiles, 'writeInTurn'>;
  readonly storage: Storage;
};

const template = v.object({ file: v.string(), text: v.string() });
const templates = v.object({ frame: template, policy: template, backend: template, server: template });
const refused = { reason: v.string(), revision: v.pipe(v.string(), v.regex(/^[0-9]{1,19}$/)), tried: v.string() };
const written = v.nullable(v.string());

const schema = v.object({
  format: v.literal(1),
  templates,
  /** The policies that HAProxy accepted last, of the services that have another one since. */
  unproven: v.array(v.tuple([v.string(), written])),
  services: v.array(v.object({ ...refused, service: v.string(), form: v.nullable(v.object({ written, templates })) })),
  held: v.array(v.object({ ...refused, role: v.picklist(templateRoles) })),
});

/** Keeps the quarantine on disk, next to the last known catalog, so that a balancer that starts again has the last good forms. */
export class QuarantineFile {
  readonly #parts: QuarantineFileParts;
  readonly #queue = new SerialQueue();
  #saved: string | undefined;

  constructor(parts: QuarantineFileParts) {
    this.#parts = parts;
  }

  /** `newest` gives the quarantine when its turn to be written comes. */
  save(newest: () => Quarantine, catalog: Catalog): Promise<void> {
    const { path, files, storage } = this.#parts;
    return this.#queue.run(async () => {
      const text = formatQuarantine(newest(), catalog);
      if (text === undefined || text === this.#saved) return;
      try {
        await files.writeInTurn(path, text);
        this.#saved = text;
        storage.worked('quarantine');
      } catch (error) {
        storage.failed('quarantine', error);
      }
    });
  }
}

/** The templates and the policies that HAProxy accepted. Undefined: HAProxy accepted none so far. */
function formatQuarantine(quarantine: Quarantine, catalog: Catalog): string | undefined {
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
    // A balancer that starts with this file has services on trial in quarantine, and tries them at once.
    services: [...new Map([...good.quarantined, ...services, ...onTrial])].map(
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

/** Reads the file that was saved with the catalog. Undefined: there is none. */
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
      good: {
        catalog: withPolicies(catalog, saved.unproven),
        templates: parsed(saved.templates),
        quarantined: services,
      },
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

/** Undefined: this version of pointsman does not accept the policy. */
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
    const key = policyKey(name);
    if (value === null) return { kind: 'delete', key, revision: catalog.revision };
    return { kind: 'put', entry: { key, value, revision: catalog.revision, leased: false } };
  });
  return foldEvent(unlimited(catalog), { kind: 'changes', revision: catalog.revision, changes }, noLimits).catalog;
}
