import type { Container } from '../../engine/container.ts';
import { containerMeta, markOf } from '../../engine/container-mark.ts';
import {
  addressFields,
  type LabelGroup,
  labelFields,
  labelGroups,
  serviceFields,
  unknownLabels,
} from '../../engine/label-groups.ts';
import { parseAddressSource } from '../../model/address-source.ts';
import { Fault } from '../../model/fault.ts';
import { parseInstanceId } from '../../model/name.ts';
import { didYouMean } from '../../model/nearest.ts';
import { readDeclaration } from '../../settings/declaration.ts';
import type { Machine } from '../../settings/option.ts';
import type { InstanceSettings, InstanceTraits } from '../../settings/register.ts';
import type { FileEntry, FileNode, SettingsFile } from '../../settings/sources.ts';
import { containerAddress, onThisHost, type ThisHost } from './container-address.ts';
import type { OwnContainer } from './own-container.ts';

/** An instance that a container declares by its labels. */
export type LabelledInstance = {
  /** What its labels begin with: `pointsman`, or `pointsman.admin` for one of several services. */
  readonly prefix: string;
  readonly settings: InstanceSettings;
  /** Whether the container's HEALTHCHECK tells its health. */
  readonly byHealthcheck: boolean;
};

export type LabelContext = {
  /** For what the labels leave out. */
  readonly traits: InstanceTraits;
  readonly machine: Machine;
  /** `--containers-host`; undefined: as `--net` finds it. */
  readonly publishedAt: string | undefined;
  readonly ownContainer: OwnContainer | undefined;
};

/** Reads the labels of a container. An instance with a mistake is left out; the others count. */
export function readLabels(
  container: Container,
  context: LabelContext,
): { readonly instances: readonly LabelledInstance[]; readonly problems: readonly Fault[] } {
  const { name, labels } = container;
  const problems = unknownLabels(labels).map((label) => {
    const hint = didYouMean(label.split('.').at(-1) ?? '', labelFields) ?? `there are ${labelFields.join(', ')}`;
    return new Fault('settings', 'unknown label', { where: `container ${name}: label ${label}`, hint });
  });
  const groups = labelGroups(labels);
  if (groups.length === 0 && problems.length === 0) {
    const hint = 'set pointsman.service, to nothing for the name of the Compose service';
    problems.push(new Fault('settings', 'its labels name no service', { where: `container ${name}`, hint }));
  }
  const instances = groups.flatMap((group) => {
    const read = readGroup(container, group, context);
    if (!('length' in read)) return [read];
    problems.push(...read);
    return [];
  });
  return { instances, problems };
}

function readGroup(
  container: Container,
  { name, service, fields }: LabelGroup,
  { traits, machine, publishedAt, ownContainer }: LabelContext,
): LabelledInstance | readonly Fault[] {
  const prefix = name === undefined ? 'pointsman' : `pointsman.${name}`;
  const place = `container ${container.name}: label ${prefix}`;
  const problems: Fault[] = [];
  const wrong = (field: string, what: string, hint: string) =>
    problems.push(new Fault('settings', what, { where: `${place}.${field}`, hint }));
  if (service === '') {
    const what = 'it is empty, and the container is of no Compose project or Swarm service';
    wrong('service', what, 'set it to the name of the service');
  }
  const check = fields.get('check');
  if (check?.startsWith('cmd:') === true) {
    const hint = 'use the HEALTHCHECK of the container, which runs within it';
    wrong('check', 'a label cannot run a command on this host', hint);
  }
  const host = { publishedAt, hostname: machine.hostname, ownContainer };
  const [port, network, written] = [fields.get('port'), fields.get('network'), fields.get('address')];
  const address =
    written === undefined
      ? containerAddress(container, { port, network, prefix }, host)
      : addressOf(written, container, host, `${place}.address`);
  if (address instanceof Fault) problems.push(address);
  const texts = new Map([...fields].filter(([field]) => !notDeclared.includes(field)));
  // The address is known already, and a label has no form for each.
  texts.set('address', ':1').set('service', service === '' ? 'service' : service);
  texts.set('id', fields.get('id') ?? defaultId(machine.hostname, container.name));
  texts.set(`meta.${containerMeta}`, markOf(container.id));
  const byHealthcheck = check === undefined && container.health !== 'none';
  const otherwise: InstanceTraits = byHealthcheck ? { ...traits, check: { kind: 'none' } } : traits;
  const settings = readDeclaration(asFile(texts, place), otherwise, machine);
  if (!settings.ok) problems.push(...settings.problems.map((problem) => withLabel(problem, place)));
  if (problems.length > 0 || !settings.ok || address instanceof Fault) return problems;
  return { prefix, settings: { ...settings.value, address }, byHealthcheck };
}

/** The fields that a declaration file does not have. */
const notDeclared: readonly string[] = [...addressFields, ...serviceFields];

/** Variables are those of the agent, not of the container. */
function addressOf(text: string, container: Container, host: ThisHost, where: string) {
  const source = parseAddressSource(text);
  if (!source.ok) return new Fault('settings', source.reason, { where });
  if (source.value.kind === 'found') return onThisHost(container, source.value.port, host);
  if (source.value.kind === 'given') return source.value;
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
