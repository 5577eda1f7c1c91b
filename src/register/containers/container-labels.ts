import type { Container } from '../../engine/container.ts';
import { parseAddressSource } from '../../model/address-source.ts';
import { Fault } from '../../model/fault.ts';
import { parseInstanceId } from '../../model/name.ts';
import { didYouMean } from '../../model/nearest.ts';
import { declarationFields, readDeclaration } from '../../settings/declaration.ts';
import type { Machine } from '../../settings/option.ts';
import type { InstanceSettings, InstanceTraits } from '../../settings/register.ts';
import type { FileEntry, FileNode, SettingsFile } from '../../settings/sources.ts';
import { containerAddress } from './container-address.ts';

/** What a container declares by its labels: an instance of a service, and perhaps the policy of the service. */
export type LabelledInstance = {
  /** What its labels begin with: `pointsman`, or `pointsman.admin` for one of several services. */
  readonly prefix: string;
  readonly settings: InstanceSettings;
  /** Whether the container's HEALTHCHECK tells its health. */
  readonly byHealthcheck: boolean;
  /** `pointsman.hosts` and `pointsman.policy`, as they are written. */
  readonly hosts: string | undefined;
  readonly policy: string | undefined;
};

export type LabelContext = {
  /** For what the labels leave out. */
  readonly traits: InstanceTraits;
  readonly machine: Machine;
  /** See `containerAddress`. */
  readonly publishedAt: string | undefined;
};

const root = 'pointsman';
/** The labels that are no fields of a declaration file. */
const ownFields = ['port', 'network', 'hosts', 'policy'];
const fields = [...declarationFields, ...ownFields];
/** Of several services of a container these differ; what `pointsman.zone` and the others say holds for all. */
const notShared = ['service', 'id', 'address', 'port', 'check', 'hosts', 'policy'];

/** Whether a container has labels for pointsman. */
export const isLabelled = (labels: Container['labels']): boolean =>
  Object.keys(labels).some((name) => name.startsWith(`${root}.`));

/** Reads the labels of a container. An instance with a mistake is left out; the others count. */
export function readLabels(
  container: Container,
  context: LabelContext,
): { readonly instances: readonly LabelledInstance[]; readonly problems: readonly Fault[] } {
  const problems: Fault[] = [];
  const groups = groupLabels(container, problems);
  const shared = groups.get('') ?? new Map<string, string>();
  const names = [...groups.keys()].filter((name) => name !== '' || shared.has('service'));
  if (names.length === 0 && problems.length === 0) {
    const hint = `set ${root}.service, to nothing for the name of the Compose service`;
    problems.push(new Fault('settings', 'its labels name no service', { where: `container ${container.name}`, hint }));
  }
  const instances = names.flatMap((name) => {
    const common =
      name === '' ? [] : [...shared].filter(([field]) => !notShared.includes(field.split('.', 1)[0] ?? ''));
    const read = readGroup(container, name, new Map([...common, ...(groups.get(name) ?? [])]), context);
    if (!('length' in read)) return [read];
    problems.push(...read);
    return [];
  });
  return { instances, problems };
}

/** The labels by the service that they are for, `''` without one: field, or `meta.KEY`, to value. */
function groupLabels({ name, labels }: Container, problems: Fault[]): Map<string, Map<string, string>> {
  const groups = new Map<string, Map<string, string>>();
  for (const [label, value] of Object.entries(labels)) {
    if (!label.startsWith(`${root}.`)) continue;
    const parts = splitLabel(label.slice(root.length + 1));
    if (parts === undefined) {
      const hint = didYouMean(label.split('.').at(-1) ?? '', fields) ?? `there are ${fields.join(', ')}`;
      problems.push(new Fault('settings', 'unknown label', { where: `container ${name}: label ${label}`, hint }));
      continue;
    }
    const group = groups.get(parts.service) ?? new Map<string, string>();
    groups.set(parts.service, group.set(parts.field, value));
  }
  return groups;
}

/** `admin.meta.team` is the field `meta.team` of the service `admin`. */
function splitLabel(rest: string): { readonly service: string; readonly field: string } | undefined {
  if (fields.includes(rest) && rest !== 'meta') return { service: '', field: rest };
  if (rest.startsWith('meta.')) return { service: '', field: rest };
  const meta = rest.indexOf('.meta.');
  if (meta > 0) return { service: rest.slice(0, meta), field: rest.slice(meta + 1) };
  const dot = rest.lastIndexOf('.');
  const field = rest.slice(dot + 1);
  return dot > 0 && fields.includes(field) && field !== 'meta' ? { service: rest.slice(0, dot), field } : undefined;
}

function readGroup(
  container: Container,
  service: string,
  group: ReadonlyMap<string, string>,
  { traits, machine, publishedAt }: LabelContext,
): LabelledInstance | readonly Fault[] {
  const prefix = service === '' ? root : `${root}.${service}`;
  const place = `container ${container.name}: label ${prefix}`;
  const problems: Fault[] = [];
  const named = serviceOf(container, service, group.get('service'), `${place}.service`);
  if (named instanceof Fault) problems.push(named);
  const check = group.get('check');
  if (check?.startsWith('cmd:') === true) {
    const hint = 'use the HEALTHCHECK of the container, which runs within it';
    problems.push(
      new Fault('settings', 'a label cannot run a command on this host', { where: `${place}.check`, hint }),
    );
  }
  const written = group.get('address');
  const address =
    written === undefined
      ? containerAddress(container, { port: group.get('port'), network: group.get('network'), prefix }, publishedAt)
      : addressOf(written, `${place}.address`);
  if (address instanceof Fault) problems.push(address);
  const id = group.get('id') ?? defaultId(machine.hostname, container.name);
  const texts = new Map([...group].filter(([field]) => !ownFields.includes(field) && field !== 'address'));
  // The address is known already, and a label has no form for each.
  texts
    .set('address', ':1')
    .set('id', id)
    .set('service', named instanceof Fault ? 'service' : named);
  const byHealthcheck = check === undefined && container.health !== 'none';
  const settings = readDeclaration(
    asFile(texts, place),
    byHealthcheck ? { ...traits, check: { kind: 'none' } } : traits,
    machine,
  );
  if (!settings.ok) problems.push(...settings.problems.map((problem) => withLabel(problem, place)));
  if (problems.length > 0 || !settings.ok || address instanceof Fault) return problems;
  return {
    prefix,
    settings: { ...settings.value, address },
    byHealthcheck,
    hosts: group.get('hosts'),
    policy: group.get('policy'),
  };
}

/** A service that is named by nothing, or by `true`, is that of Compose or Swarm. */
function serviceOf({ labels }: Container, key: string, given: string | undefined, where: string): string | Fault {
  if (key !== '' && given === undefined) return key;
  if (given !== undefined && given !== '' && given !== 'true') return given;
  const orchestrated = labels['com.docker.compose.service'] ?? labels['com.docker.swarm.service.name'];
  if (orchestrated !== undefined) return orchestrated;
  const hint = 'set it to the name of the service';
  return new Fault('settings', 'it is empty, and the container is of no Compose project or Swarm service', {
    where,
    hint,
  });
}

/** Variables are those of the agent, not of the container. */
function addressOf(text: string, where: string) {
  const source = parseAddressSource(text);
  if (!source.ok) return new Fault('settings', source.reason, { where });
  if (source.value.kind !== 'environment') return source.value;
  return new Fault('settings', 'it is read from no variable', { where, hint: 'use HOST:PORT, or :PORT on this host' });
}

/** The same after the container was made anew under its name, as Compose does. */
function defaultId(hostname: string, container: string): string {
  const text = `${hostname}-${container}`.replace(/[^A-Za-z0-9._:-]/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  const id = parseInstanceId(text.slice(0, 127));
  return id.ok ? id.value : text;
}

/** The labels as a declaration file, whose reader they share. */
function asFile(texts: ReadonlyMap<string, string>, place: string): SettingsFile {
  const entries = new Map<string, FileEntry>();
  const scalar = (text: string): FileNode => ({ kind: 'scalar', where: place, text });
  const meta: FileEntry[] = [];
  for (const [name, text] of texts) {
    if (name.startsWith('meta.')) meta.push({ name: name.slice('meta.'.length), where: place, value: scalar(text) });
    else entries.set(name, { name, where: place, value: scalar(text) });
  }
  if (meta.length > 0) {
    entries.set('meta', { name: 'meta', where: place, value: { kind: 'mapping', where: place, entries: meta } });
  }
  return { path: place, fields: entries };
}

/** `container web-1: label pointsman: weight` as the label that it is: `pointsman.weight`. */
function withLabel(problem: Fault, place: string): Fault {
  const { code, message, where = place, hint } = problem;
  return new Fault(code, message, { where: where.replace(`${place}: `, `${place}.`), hint });
}
