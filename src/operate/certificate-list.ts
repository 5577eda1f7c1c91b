import { X509Certificate } from 'node:crypto';
import { hostOfCertificate, hostOfOrder, hostOfRenewal } from '../model/acme/keys.ts';
import { type OrderRecord, parseOrderRecord } from '../model/acme/order-record.ts';
import { parseStoredCertificate, type StoredCertificate } from '../model/acme/stored-certificate.ts';
import { isFor } from '../model/certificate.ts';
import type { Parsed } from '../model/parsed.ts';
import type { Entry } from '../registry/registry.ts';

/** A host that asks for a certificate, as a balancer finds it. */
type AskingHost = {
  readonly host: string;
  readonly service: string;
  /** Why no certificate is ordered; undefined: one is. */
  readonly obstacle?: string | undefined;
};

/** A certificate of the folder `--certificates`. */
type FolderCertificate = {
  readonly name: string;
  readonly names: readonly string[];
  /** ISO 8601. */
  readonly notAfter: string;
};

/** What balancers say: the hosts that ask for certificates, and the certificates of their folders. */
export type AskingHosts = { readonly hosts: readonly AskingHost[]; readonly folder: readonly FolderCertificate[] };

/** A certificate of the registry that a balancer does not serve. */
type RefusedCertificate = { readonly balancer: string; readonly host: string; readonly reason: string };

export type CertificateState =
  /** Every balancer serves it, as far as is known, and there is nothing to do before `renewAt`. */
  | { readonly kind: 'valid' }
  /** It is valid, and these balancers do not serve it. */
  | { readonly kind: 'refused'; readonly by: readonly Omit<RefusedCertificate, 'host'>[] }
  /** It has ended, and no other one is there. */
  | { readonly kind: 'expired' }
  /** An order is under way. */
  | { readonly kind: 'ordering'; readonly stage: OrderRecord['stage'] }
  /** The last attempt failed. `failures` counts those that the host is to blame for. */
  | { readonly kind: 'failing'; readonly failures: number; readonly error: string }
  /** It asks for one, and the order has not begun. */
  | { readonly kind: 'waiting' }
  /** No certificate is ordered. */
  | { readonly kind: 'not-ordered'; readonly why: string }
  /** The entry cannot be read. */
  | { readonly kind: 'unreadable'; readonly reason: string };

/** The certificate of a host, or what is known about one that it does not have yet. */
export type ListedCertificate = {
  readonly host: string;
  /** The service that has the host's route; undefined: none that asks for certificates. */
  readonly service: string | undefined;
  /** `acme`: ordered. `registry`: an operator wrote the entry. Undefined: there is none. */
  readonly source: 'acme' | 'registry' | 'folder' | undefined;
  /** The address of the authority's directory. */
  readonly authority: string | undefined;
  /** ISO 8601, like the next two. */
  readonly validUntil: string | undefined;
  readonly renewAt: string | undefined;
  /** When a failed order is tried again. */
  readonly nextTry: string | undefined;
  /** Whether an operator asked for a new one, and its order has not begun. */
  readonly asked: boolean;
  readonly state: CertificateState;
};

type Found = {
  stored?: Parsed<StoredCertificate>;
  order?: Parsed<OrderRecord>;
  asked?: boolean;
  asking?: AskingHost;
  folder?: FolderCertificate;
  refusedBy?: Omit<RefusedCertificate, 'host'>[];
};

/**
 * The certificates of all hosts, by host: those of the registry, those of folders, and those that are not there yet. `asking` is undefined
 * where no balancer could be asked. `refusals`: the certificates of the registry that balancers do not serve.
 */
export function listCertificates(
  entries: Iterable<Pick<Entry, 'key' | 'value'>>,
  asking: AskingHosts | undefined,
  now: number,
  refusals: readonly RefusedCertificate[] = [],
): readonly ListedCertificate[] {
  const found = new Map<string, Found>();
  const at = (host: string): Found => {
    const known = found.get(host) ?? {};
    found.set(host, known);
    return known;
  };
  for (const { key, value } of entries) {
    const [certificate, order, renewal] = [hostOfCertificate(key), hostOfOrder(key), hostOfRenewal(key)];
    if (certificate !== undefined) at(certificate).stored = parseStoredCertificate(value);
    else if (order !== undefined) at(order).order = parseOrderRecord(value);
    else if (renewal !== undefined) at(renewal).asked = true;
  }
  for (const one of asking?.hosts ?? []) at(one.host).asking = one;
  for (const { host, ...refusal } of refusals) {
    const one = found.get(host);
    if (one?.stored !== undefined) one.refusedBy = [...(one.refusedBy ?? []), refusal];
  }
  const folder = asking?.folder ?? [];
  for (const name of folder.flatMap(({ names }) => names)) at(name);
  for (const [host, one] of found) {
    const covering = folder.find(({ names }) => isFor(names, host));
    if (covering !== undefined) one.folder = covering;
  }
  return [...found].map(([host, one]) => listed(host, one, now)).sort((a, b) => (a.host < b.host ? -1 : 1));
}

function listed(host: string, one: Found, now: number): ListedCertificate {
  const { stored, order, asked = false, asking, folder, refusedBy = [] } = one;
  const certificate = stored?.ok ? stored.value : undefined;
  const record = order?.ok ? order.value : undefined;
  const validUntil = folder?.notAfter ?? (certificate && endOf(certificate));
  const bad = [stored, order].find((one) => one?.ok === false);
  const ofRegistry = certificate && (certificate.authority === undefined ? 'registry' : 'acme');
  return {
    host,
    service: asking?.service,
    source: folder === undefined ? ofRegistry : 'folder',
    authority: folder === undefined ? (certificate ?? record)?.authority : undefined,
    validUntil,
    renewAt: folder === undefined ? certificate?.renewAt : undefined,
    nextTry: record?.nextTry,
    asked,
    state:
      bad?.ok === false && folder === undefined
        ? { kind: 'unreadable', reason: bad.reason }
        : stateOf({ record, asking, folder, validUntil, refusedBy, has: certificate !== undefined }, now),
  };
}

function stateOf(
  {
    record,
    asking,
    folder,
    validUntil,
    refusedBy,
    has,
  }: {
    readonly record: OrderRecord | undefined;
    readonly asking: AskingHost | undefined;
    readonly folder: FolderCertificate | undefined;
    readonly validUntil: string | undefined;
    readonly refusedBy: NonNullable<Found['refusedBy']>;
    readonly has: boolean;
  },
  now: number,
): CertificateState {
  const isOver = validUntil !== undefined && Date.parse(validUntil) <= now;
  if (folder !== undefined) return { kind: isOver ? 'expired' : 'valid' };
  // An authority that cannot be reached is no failure of the host, so `failures` may be 0.
  if (record !== undefined && (record.failures > 0 || record.error !== undefined)) {
    return { kind: 'failing', failures: record.failures, error: record.error ?? 'no reason is known' };
  }
  if (record !== undefined && record.stage !== 'waiting') return { kind: 'ordering', stage: record.stage };
  if (isOver) return { kind: 'expired' };
  if (has && validUntil === undefined) return { kind: 'unreadable', reason: 'it is no certificate' };
  if (has) return refusedBy.length > 0 ? { kind: 'refused', by: refusedBy } : { kind: 'valid' };
  return asking?.obstacle === undefined ? { kind: 'waiting' } : { kind: 'not-ordered', why: asking.obstacle };
}

/** When the certificate ends; undefined: it cannot be read. */
function endOf({ certificate }: StoredCertificate): string | undefined {
  try {
    return new Date(new X509Certificate(certificate).validTo).toISOString();
  } catch {
    return undefined;
  }
}
