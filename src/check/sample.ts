import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { baseSettingsOf } from '../balance/base-settings.ts';
import { prepareSecretFiles } from '../balance/secrets/secrets.ts';
import { pathsOf } from '../balance/state/paths.ts';
import { provideShipped } from '../balance/state/shipped-files.ts';
import { prepareClientCertificates } from '../balance/tls/client-certificates.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { foldEntries } from '../catalog/fold-event.ts';
import type { Declared, Place } from '../declarations/declared.ts';
import { validateConfig } from '../haproxy/check.ts';
import { Fault } from '../model/fault.ts';
import { instanceKey, policyKey } from '../model/key.ts';
import { type Problem, problemAt, problemOf } from '../model/problem.ts';
import { revision } from '../model/revision.ts';
import type { Entry } from '../registry/registry.ts';
import { type CertificateHost, certificateHosts as hostsOf } from '../render/certificate-hosts.ts';
import { type ConfigPlace, placeOf } from '../render/place.ts';
import { policyOf } from '../render/policies.ts';
import { configWriter, renderAll, type Templates } from '../render/render.ts';
import { nothingRendered, type Rendered } from '../render/rendered.ts';
import { originOf } from '../render/template.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import { entryNotes } from './entry-notes.ts';
import { missingFiles } from './named-files.ts';

/** The result of a check of entries. */
export type SampleResult = {
  readonly problems: readonly Problem[];
  /** Notes on well-formed entries whose effect may surprise, a line each. */
  readonly notes: readonly string[];
  /** The hosts that ask for certificates; none without --acme. */
  readonly certificateHosts?: readonly CertificateHost[];
  /** The configuration that HAProxy was asked about; undefined when it was not asked. */
  readonly config?: string;
};

export type SampleParts = {
  readonly settings: BalanceSettings;
  readonly templates: Templates;
  /** Well formed. */
  readonly entries: readonly Declared[];
  /** The folder with what ships with pointsman for HAProxy. */
  readonly shippedForHaproxy: string;
  /** Undefined: the configuration is not validated. */
  readonly haproxy: { readonly executable: string; readonly version: string } | undefined;
};

const checkMs = 30_000;

/**
 * Finds entries that the templates cannot render, or that make a configuration which HAProxy refuses.
 * A service without instances gets two, so that the server template is tried as well.
 */
export async function trySample({
  settings,
  templates,
  entries,
  shippedForHaproxy,
  haproxy,
}: SampleParts): Promise<SampleResult> {
  const folder = await mkdtemp(join(tmpdir(), 'pointsman-check-'));
  try {
    const own = pathsOf(folder);
    // The files that HAProxy opens while it checks have to be there. Files that policies name are in the folder of the balancer.
    const theirs = pathsOf(settings.dir);
    const { pemFolder } = baseSettingsOf(settings, theirs);
    const errorPages = settings.errorPages === undefined ? theirs.errorPages : resolve(settings.errorPages);
    const baseSettings = { ...baseSettingsOf(settings, own), pemFolder, errorPages };
    for (const path of [own.routesMap, own.runtimeSocket, own.certificateList]) {
      await mkdir(dirname(path), { recursive: true });
    }
    await provideShipped(shippedForHaproxy, own, settings.maintenancePage);
    await writeFile(own.routesMap, '');
    await prepareSecretFiles(own.authMap, own.authKeys);
    await prepareClientCertificates(own.clientCertificates);
    await writeFile(own.ratesMap, '');
    await writeFile(own.certificateList, '');
    const catalog = sampleCatalog(entries);
    const { rendered, problems, conflicts = [] } = renderAll(templates, baseSettings, nothingRendered, catalog);
    const notes = entryNotes(catalog, conflicts, haproxy?.version);
    const table = rendered.routeTable;
    // The folder of certificates may be on another machine.
    const certificateHosts = table === undefined ? [] : hostsOf(table, settings.acme, () => false);
    const places = new Map(entries.map(({ key, place }) => [key, place]));
    const declaredAt = (key: string): Place | undefined => places.get(key);
    const unrendered = problems.map(({ service, instance, reason }) => {
      const key = instance === undefined ? policyKey(service) : instanceKey(service, instance);
      const place = declaredAt(key) ?? declaredAt(policyKey(service));
      return place === undefined ? problemOf(new Fault('template', reason)) : problemAt(place.file, place, reason);
    });
    if (haproxy === undefined) return { problems: unrendered, notes, certificateHosts };
    const secrets = settings.secrets === undefined ? theirs.secrets : resolve(settings.secrets);
    const missing = await missingFiles(entries, catalog, { errorPages, serverTls: pemFolder, secrets });
    const found = [...unrendered, ...missing.problems];
    const config = configWriter()(rendered);
    await writeFile(own.config, config, { mode: 0o600 });
    const checked = await validateConfig(haproxy.executable, own.config, checkMs);
    if (checked.ok) return { problems: found, notes, certificateHosts, config };
    const lines = config.split('\n');
    const isNew = ({ line, text }: { readonly line: number | undefined; readonly text: string }): boolean => {
      const whole = `${text} ${line === undefined ? '' : (lines[line - 1] ?? '')}`;
      return ![...missing.paths].some((path) => whole.includes(path));
    };
    const refused = checked.problems.filter(isNew).map(({ line, text }) => {
      const source = line === undefined ? '' : (lines[line - 1] ?? '').trim();
      const origin = source === '' ? undefined : originOf(lines[(line ?? 1) - 1] ?? '', Object.values(templates));
      const place = line === undefined ? undefined : placeOf(rendered, line);
      const entry = place === undefined ? undefined : entriesAt(place, rendered).map(declaredAt).find(Boolean);
      const what = `HAProxy refuses it: ${text.replaceAll(own.config, 'haproxy.cfg')}`;
      const hint = source === '' ? undefined : `the line is: ${source}`;
      // A line of the template that made it, else the entry that it was made for.
      if (origin !== undefined && /:\d+$/.test(origin))
        return problemOf(new Fault('template', what, { where: `${origin}:1`, hint }));
      return entry === undefined
        ? problemOf(new Fault('config-check', what, { hint }))
        : problemAt(entry.file, entry, what, hint);
    });
    return { problems: [...found, ...refused], notes, certificateHosts };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function entriesAt(place: ConfigPlace, { backends }: Rendered): readonly string[] {
  switch (place.kind) {
    case 'frame':
      return [];
    case 'listener':
    case 'service':
      return [policyKey(place.service)];
    case 'instance':
      return [instanceKey(place.service, place.id), policyKey(place.service)];
    case 'policy':
      return [...backends.values()]
        .filter(({ section }) => policyOf(section) === place.policy)
        .map(({ name }) => policyKey(name));
  }
}

function sampleCatalog(given: readonly Declared[]) {
  const entries = new Map<string, Entry>();
  const put = (key: string, value: string) => entries.set(key, { key, value, revision: revision(1n), leased: false });
  const withInstances = new Set<string>();
  for (const { key, value } of given) {
    const [area, service = ''] = key.split('/');
    // HAProxy gets no free values, and there may be ten times as many of them.
    if (area !== 'keys') put(key, value);
    if (area === 'instances') withInstances.add(service);
  }
  if (given.length === 0) put(instanceKey('example', 'one'), '127.0.0.1:80');
  for (const key of [...entries.keys()]) {
    const service = /^services\/([^/]+)$/.exec(key)?.[1];
    if (service === undefined || withInstances.has(service)) continue;
    put(instanceKey(service, 'sample-1'), '{"address":"127.0.0.1:80","version":"v1","zone":"a"}');
    put(instanceKey(service, 'sample-2'), '{"address":"[::1]:80","version":"v2","zone":"b"}');
  }
  return withAddresses(foldEntries(entries).catalog);
}

/** With an address for each host name. A check asks no nameserver. */
function withAddresses(catalog: Catalog): Catalog {
  const services = catalog.services.map((service) => ({
    ...service,
    instances: service.instances.map((instance) =>
      instance.address.family === 'name'
        ? { ...instance, address: { ...instance.address, host: '192.0.2.1', family: 'ipv4' as const } }
        : instance,
    ),
  }));
  return { ...catalog, services };
}
