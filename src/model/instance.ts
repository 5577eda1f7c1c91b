import { type Address, parseAddress, parseHost, parsePort } from './address.ts';
import type { InstanceId, ServiceName } from './name.ts';
import { accepted, type Parsed, quote, refused } from './parsed.ts';

/** `draining` takes no new requests and finishes its open ones; `maintenance` takes none at all. */
type InstanceState = 'ready' | 'draining' | 'maintenance';

/** One running copy of a service, as its registration says. */
export type Instance = {
  readonly service: ServiceName;
  readonly id: InstanceId;
  readonly address: Address;
  /** 0 to 256, HAProxy's range; the share of traffic relative to its siblings. */
  readonly weight: number;
  readonly state: InstanceState;
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly meta: Readonly<Record<string, string>>;
  /** A nonce of the process that registered it; nobody's when a hand wrote the key. */
  readonly owner: string | undefined;
};

export const defaultWeight = 100;

const word = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$/;
const ownerNonce = /^[A-Za-z0-9-]{1,64}$/;
const states: readonly string[] = ['ready', 'draining', 'maintenance'] satisfies InstanceState[];

/**
 * Reads a registration: `host:port`, or JSON `{address, port, weight?, state?, version?, zone?, meta?, owner?}` in which
 * `address` may also be `host:port` and `port` then left out. Unknown fields are ignored, so that a newer register can
 * stand beside an older balancer.
 */
export function parseInstance(service: ServiceName, id: InstanceId, value: string): Parsed<Instance> {
  const bare = { service, id, weight: defaultWeight, state: 'ready', version: undefined, zone: undefined } as const;
  const text = value.trim();
  if (!text.startsWith('{')) {
    const address = parseAddress(text);
    return address.ok ? accepted({ ...bare, address: address.value, meta: {}, owner: undefined }) : address;
  }
  const json = parseRecord(text);
  if (!json.ok) return json;
  const record = json.value;

  const address = readAddress(record.get('address'), record.get('port'));
  if (!address.ok) return address;
  const weight = record.get('weight') ?? defaultWeight;
  if (typeof weight !== 'number' || !Number.isInteger(weight) || weight < 0 || weight > 256) {
    return refused(`weight ${quote(JSON.stringify(weight))} is not a whole number from 0 to 256`);
  }
  const state = record.get('state') ?? 'ready';
  if (typeof state !== 'string' || !states.includes(state)) {
    return refused(`state ${quote(JSON.stringify(state))} is none of ready, draining, maintenance`);
  }
  const version = optionalWord(record, 'version');
  if (!version.ok) return version;
  const zone = optionalWord(record, 'zone');
  if (!zone.ok) return zone;
  const owner = record.get('owner');
  if (owner !== undefined && (typeof owner !== 'string' || !ownerNonce.test(owner))) {
    return refused('owner is not 1 to 64 of A-Z a-z 0-9 -');
  }
  const meta = readMeta(record.get('meta'));
  if (!meta.ok) return meta;
  return accepted({
    service,
    id,
    address: address.value,
    weight,
    state: state as InstanceState,
    version: version.value,
    zone: zone.value,
    meta: meta.value,
    owner,
  });
}

/** The value that `parseInstance` reads back; what register writes. */
export function formatInstance(instance: Omit<Instance, 'service' | 'id'>): string {
  return JSON.stringify({
    address: instance.address.host,
    port: instance.address.port,
    ...(instance.weight === defaultWeight ? {} : { weight: instance.weight }),
    ...(instance.state === 'ready' ? {} : { state: instance.state }),
    version: instance.version,
    zone: instance.zone,
    ...(Object.keys(instance.meta).length === 0 ? {} : { meta: instance.meta }),
    owner: instance.owner,
  });
}

/** Parses a JSON object into a Map, in which `__proto__` is a key like any other. */
export function parseRecord(text: string): Parsed<ReadonlyMap<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return refused('it is not a JSON object');
    return accepted(new Map(Object.entries(json)));
  } catch (error) {
    return refused(`it is not JSON: ${quote(error instanceof Error ? error.message : String(error))}`);
  }
}

/** Reads a version, a zone or a name in meta: 1 to 63 of `A-Za-z0-9._+-`, a letter or digit first. */
export function parseLabel(text: string): Parsed<string> {
  return word.test(text)
    ? accepted(text)
    : refused(`${quote(text)} is not 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first`);
}

function readAddress(address: unknown, port: unknown): Parsed<Address> {
  if (typeof address !== 'string') return refused('address is missing or not a string');
  if (port === undefined) return parseAddress(address);
  if (typeof port !== 'number') return refused(`port ${quote(JSON.stringify(port))} is not a number from 1 to 65535`);
  const host = parseHost(address);
  if (!host.ok) return host;
  const number = parsePort(port);
  return number.ok ? accepted({ ...host.value, port: number.value }) : number;
}

function optionalWord(record: ReadonlyMap<string, unknown>, name: string): Parsed<string | undefined> {
  const value = record.get(name);
  if (value === undefined) return accepted(undefined);
  if (typeof value !== 'string') return refused(`${name} is not a string`);
  const label = parseLabel(value);
  return label.ok ? label : refused(`${name} ${label.reason}`);
}

function readMeta(value: unknown): Parsed<Readonly<Record<string, string>>> {
  if (value === undefined) return accepted({});
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refused('meta is not an object');
  const entries = Object.entries(value);
  if (entries.length > 32) return refused(`meta has ${entries.length} entries, more than 32`);
  const meta = new Map<string, string>();
  for (const [name, text] of entries) {
    if (!word.test(name)) return refused(`meta: ${quote(name)} is not 1 to 63 of A-Z a-z 0-9 . _ + -`);
    if (typeof text !== 'string' || text.length > 256) return refused(`meta.${name} is not a string of at most 256`);
    meta.set(name, text);
  }
  return accepted(Object.fromEntries(meta));
}
