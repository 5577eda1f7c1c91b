import * as v from 'valibot';
import { parseFileName } from './file-name.ts';
import type { ServiceName } from './name.ts';
import { accepted, type Parsed, quote, rejected } from './parsed.ts';
import { parsedText, parseEntry, whole } from './policy/field.ts';
import { type HostPattern, ownHosts, parseHostPattern, patternsOver } from './route.ts';

/** The claims that operators allow a service, as in the entry `claims/<service>`. Fields that it leaves out come from `claims/*`. */
export type Claim = {
  readonly hosts: ReadonlySet<HostPattern> | undefined;
  readonly priority: number | undefined;
  readonly ports: readonly PortRange[] | undefined;
  readonly certificates: ReadonlySet<string> | undefined;
};

/** Ports of the balancer, both ends among them. */
type PortRange = { readonly first: number; readonly last: number };

/** The claims that a service may make. */
export type EffectiveClaim = {
  /** Its own name is allowed always. Undefined: any host. */
  readonly hosts: ReadonlySet<HostPattern> | undefined;
  /** The largest priority that counts over other services. */
  readonly priority: number;
  /** For a `tcp` service. Undefined: any port. */
  readonly ports: readonly PortRange[] | undefined;
  /** The files for TLS to servers that it may have the balancer show. `<service>.pem` is allowed always. Undefined: any file. */
  readonly certificates: ReadonlySet<string> | undefined;
};

/** The claims of a service when no operator has set any. */
export const noClaim: EffectiveClaim = { hosts: undefined, priority: 0, ports: undefined, certificates: undefined };

function parsePorts(text: string): Parsed<PortRange> {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const range = { first: Number(first), last: Number(last) };
  return range.first >= 1 && range.first <= range.last && range.last <= 65_535
    ? accepted(range)
    : rejected(`${quote(text)} is neither a port nor a range of ports ("6000-6099")`);
}

const ports = v.pipe(v.union([v.string(), v.number()]), v.transform(String), parsedText(parsePorts));

/** The fields of a claim as its JSON has them. */
export const claimSchema = v.strictObject({
  hosts: v.optional(v.pipe(v.array(parsedText(parseHostPattern)), v.maxLength(1024))),
  priority: v.optional(whole(0, 1000)),
  ports: v.optional(v.pipe(v.array(ports), v.maxLength(1024))),
  certificates: v.optional(v.pipe(v.array(parsedText(parseFileName)), v.maxLength(1024))),
});

/** Reads `{"hosts":["shop.example.com","*.shop.example.com"],"priority":10}`. Unknown fields are refused. */
export function parseClaim(value: string): Parsed<Claim> {
  const read = parseEntry(value, claimSchema, 'a claim');
  if (!read.ok) return read;
  const { hosts, priority, ports, certificates } = read.value;
  return accepted({
    hosts: hosts && new Set(hosts),
    priority,
    ports,
    certificates: certificates && new Set(certificates),
  });
}

/** Whether a service may claim this host. */
export function allowsHost({ hosts }: EffectiveClaim, service: ServiceName, host: string): boolean {
  if (hosts === undefined || ownHosts(service).includes(host)) return true;
  return patternsOver(host).some((pattern) => hosts.has(pattern as HostPattern));
}

/** Whether a `tcp` service may have this port of the balancer. */
export const allowsPort = ({ ports }: EffectiveClaim, requested: number): boolean =>
  ports === undefined || ports.some(({ first, last }) => requested >= first && requested <= last);

/** Whether a service may have the balancer show its servers the certificate in this file. */
export const allowsCertificate = ({ certificates }: EffectiveClaim, service: ServiceName, file: string): boolean =>
  certificates === undefined || file === `${service}.pem` || certificates.has(file);

export function sameClaim(a: EffectiveClaim, b: EffectiveClaim): boolean {
  return (
    a.priority === b.priority &&
    isSameSet(a.hosts, b.hosts) &&
    isSameSet(a.certificates, b.certificates) &&
    isSameSet(portsOf(a), portsOf(b))
  );
}

const portsOf = ({ ports }: EffectiveClaim): ReadonlySet<string> | undefined =>
  ports && new Set(ports.map(({ first, last }) => `${first}-${last}`));

function isSameSet(a: ReadonlySet<string> | undefined, b: ReadonlySet<string> | undefined): boolean {
  return a?.size === b?.size && [...(a ?? [])].every((one) => b?.has(one) === true);
}

export type ClaimTarget = ServiceName | '*';
