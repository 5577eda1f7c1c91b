import { type Address, canBeServer, formatAddress, parseAddress, parseHost, parsePort } from './address.ts';
import { parseRecord } from './json.ts';
import type { InstanceId, ServiceName } from './name.ts';
import { accepted, type Parsed, quote, rejected } from './parsed.ts';
import { parseWeight } from './quantity.ts';

/** `draining` takes no new requests and finishes its open ones; `maintenance` takes none at all. */
type InstanceState = (typeof instanceStates)[number];

/** A `backup` gets requests only while no active instance is up. */
export type InstanceRole = (typeof instanceRoles)[number];

/** How the process that registered an instance found it well before. */
type RegisteredCheck = (typeof registeredChecks)[number];
const registeredChecks = ['tcp', 'http', 'command'] as const;
export const instanceRoles = ['active', 'backup'] as const;

/** One running copy of a service, as its registration says. */
export type Instance = {
  readonly service: ServiceName;
  readonly id: InstanceId;
  readonly address: Address;
  /** The host name that it is registered with, where `address` has what the name resolves to. */
  readonly hostName?: string | undefined;
  /** 0 to 256, HAProxy's range; the share of traffic relative to its siblings. */
  readonly weight: number;
  readonly state: InstanceState;
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly role: InstanceRole;
  readonly meta: Readonly<Record<string, string>>;
  /** A nonce of the process that registered it; undefined when a person wrote the key. */
  readonly owner: string | undefined;
  /**
   * When that process began to announce it, in ms since 1970: of two processes with one id and one address, the one that
   * started later owns the key. Undefined when a hand or an older register wrote it.
   */
  readonly started?: number | undefined;
  /** How that process found it well before it registered it; undefined when it did not look. */
  readonly checked?: RegisteredCheck | undefined;
  /** The wall clock of its machine when it was written, in ms since 1970; for measuring only. */
  readonly writtenAt: number | undefined;
};

export const defaultWeight = 100;
/** Entries of meta. */
export const mostMeta = 32;
const mostMetaLength = 256;

const word = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$/;
const ownerNonce = /^[A-Za-z0-9-]{1,64}$/;
// Half a surrogate pair is no character, and JSON writes it as six. Tabs and line ends may be meant.
const controls = /(?![\t\n\r])[\p{Cc}\p{Cs}]/u;
export const instanceStates = ['ready', 'draining', 'maintenance'] as const;

/**
 * Reads a registration: `host:port`, or JSON `{address, port, weight?, state?, version?, zone?, role?, meta?, owner?}` in
 * which `address` may also be `host:port` and `port` then left out. Unknown fields are ignored, so that a newer register can
 * stand beside an older balancer.
 */
export function parseInstance(service: ServiceName, id: InstanceId, value: string): Parsed<Instance> {
  const bare = {
    service,
    id,
    weight: defaultWeight,
    state: 'ready',
    version: undefined,
    zone: undefined,
    role: 'active',
  } as const;
  const text = trimBlanks(value);
  if (!text.startsWith('{')) {
    const address = serverAddress(parseAddress(text));
    return address.ok
      ? accepted({ ...bare, address: address.value, meta: {}, owner: undefined, writtenAt: undefined })
      : address;
  }
  const json = parseRecord(text);
  if (!json.ok) return json;
  const record = json.value;

  const address = serverAddress(readAddress(record.get('address'), record.get('port')));
  if (!address.ok) return address;
  const weight = readWeight(record.get('weight'));
  if (!weight.ok) return weight;
  const state = readWord(record, 'state', instanceStates);
  if (!state.ok) return state;
  const version = optionalWord(record, 'version');
  if (!version.ok) return version;
  const zone = optionalWord(record, 'zone');
  if (!zone.ok) return zone;
  const role = readWord(record, 'role', instanceRoles);
  if (!role.ok) return role;
  const owner = record.get('owner');
  if (owner !== undefined && (typeof owner !== 'string' || !ownerNonce.test(owner))) {
    return rejected('owner is not 1 to 64 of A-Z a-z 0-9 -');
  }
  const meta = readMeta(record.get('meta'));
  if (!meta.ok) return meta;
  return accepted({
    service,
    id,
    address: address.value,
    weight: weight.value,
    state: state.value,
    version: version.value,
    zone: zone.value,
    role: role.value,
    meta: meta.value,
    owner,
    started: readTime(record.get('started')),
    // One that a newer register may know counts for nothing here.
    checked: registeredChecks.find((one) => one === record.get('checked')),
    writtenAt: readTime(record.get('at')),
  });
}

// A time that makes no sense is as good as none.
const readTime = (at: unknown): number | undefined =>
  typeof at === 'number' && Number.isSafeInteger(at) ? at : undefined;

/** The value that `parseInstance` reads back; what register writes. */
export function formatInstance(instance: Omit<Instance, 'service' | 'id'>): string {
  return JSON.stringify({
    address: instance.address.host,
    port: instance.address.port,
    ...(instance.weight === defaultWeight ? {} : { weight: instance.weight }),
    ...(instance.state === 'ready' ? {} : { state: instance.state }),
    version: instance.version,
    zone: instance.zone,
    ...(instance.role === 'active' ? {} : { role: instance.role }),
    ...(Object.keys(instance.meta).length === 0 ? {} : { meta: instance.meta }),
    owner: instance.owner,
    started: instance.started,
    checked: instance.checked,
    at: instance.writtenAt,
  });
}

/** Reads a version, a zone or a name in meta: 1 to 63 of `A-Za-z0-9._+-`, a letter or digit first. */
export function parseLabel(text: string): Parsed<string> {
  return word.test(text)
    ? accepted(text)
    : rejected(`${quote(text)} is not 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first`);
}

function readAddress(address: unknown, port: unknown): Parsed<Address> {
  if (typeof address !== 'string') return rejected('address is missing or not a string');
  if (port === undefined) return parseAddress(address);
  if (typeof port !== 'number') return rejected('port is not a number from 1 to 65535');
  const host = parseHost(address);
  if (!host.ok) return host;
  const number = parsePort(port);
  return number.ok ? accepted({ ...host.value, port: number.value }) : number;
}

/** HAProxy forwards to the address that the client asked for where a server's own is 0.0.0.0: to itself, most often. */
function serverAddress(address: Parsed<Address>): Parsed<Address> {
  return !address.ok || canBeServer(address.value)
    ? address
    : rejected(`${quote(formatAddress(address.value))} is not the address of a single server`);
}

function readWeight(weight: unknown): Parsed<number> {
  if (weight === undefined) return accepted(defaultWeight);
  if (typeof weight !== 'number') return rejected('weight is not a number from 0 to 256');
  const parsed = parseWeight(weight);
  return parsed.ok ? parsed : rejected(`weight ${parsed.reason}`);
}

/** One of a few words; the first of them where none is given. */
function readWord<W extends string>(record: ReadonlyMap<string, unknown>, name: string, words: readonly [W, ...W[]]) {
  const given = record.get(name);
  const known = given === undefined ? words[0] : words.find((one) => one === given);
  if (known !== undefined) return accepted(known);
  return rejected(`${name}${typeof given === 'string' ? ` ${quote(given)}` : ''} is not one of ${words.join(', ')}`);
}

function optionalWord(record: ReadonlyMap<string, unknown>, name: string): Parsed<string | undefined> {
  const value = record.get(name);
  if (value === undefined) return accepted(undefined);
  if (typeof value !== 'string') return rejected(`${name} is not a string`);
  const label = parseLabel(value);
  return label.ok ? label : rejected(`${name} ${label.reason}`);
}

function readMeta(value: unknown): Parsed<Readonly<Record<string, string>>> {
  if (value === undefined) return accepted({});
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return rejected('meta is not an object');
  const entries = Object.entries(value);
  if (entries.length > mostMeta) return rejected(`meta has ${entries.length} entries, more than ${mostMeta}`);
  const meta = new Map<string, string>();
  for (const [name, text] of entries) {
    if (!word.test(name)) return rejected(`meta: ${quote(name)} is not 1 to 63 of A-Z a-z 0-9 . _ + -`);
    const one = parseMetaText(text);
    if (!one.ok) return rejected(`meta.${name} ${one.reason}`);
    meta.set(name, one.value);
  }
  return accepted(Object.fromEntries(meta));
}

/** Reads a value in meta; the reason of a refusal follows its name. */
export function parseMetaText(text: unknown): Parsed<string> {
  if (typeof text !== 'string' || text.length > mostMetaLength) {
    return rejected(`is not a string of at most ${mostMetaLength}`);
  }
  return controls.test(text) ? rejected('has a control character') : accepted(text);
}

/** Without the newline that `echo` adds. Only what JSON counts as blank: a byte order mark is no blank. */
function trimBlanks(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isBlank(text[start])) start += 1;
  while (end > start && isBlank(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

const isBlank = (unit: string | undefined): boolean => unit === ' ' || unit === '\n' || unit === '\r' || unit === '\t';
