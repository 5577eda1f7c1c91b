import { formatDuration } from '../model/quantity.ts';
import type { CertificateState, ListedCertificate } from './certificate-list.ts';

/** Why no certificate is ordered for a host, by the balancer's word for it. */
const obstacles: Readonly<Record<string, string>> = {
  'no-acme': 'no balancer runs with --acme',
  'not-decided': 'another service has the shortest path of this host, and does not ask for a certificate',
  'in-folder': 'a certificate of --certificates is for it',
  'not-allowed': '--acme-allow does not name it',
  'needs-dns-01': 'a wildcard needs --acme-challenge dns-01',
  'no-name': 'no certificate can have this name: give the exact host, or *.example.com',
  'is-address': 'clients name no IP address when they ask for a certificate (SNI): give a host name',
};

export const describeObstacle = (obstacle: string): string => obstacles[obstacle] ?? obstacle;

/** `valid`, `failed 3 times: …`. */
export function describeCertificateState({ state, asked }: Pick<ListedCertificate, 'state' | 'asked'>): string {
  const text = textOf(state);
  return asked && state.kind !== 'ordering' ? `${text}; a new one is asked for` : text;
}

function textOf(state: CertificateState): string {
  switch (state.kind) {
    case 'valid':
    case 'expired':
      return state.kind;
    case 'refused':
      return describeRefusals(state.by);
    case 'waiting':
      return 'not ordered yet';
    case 'ordering':
      return `ordering (${state.stage})`;
    case 'failing':
      return `${failedTimes(state.failures)}: ${state.error}`;
    case 'not-ordered':
      return `not ordered: ${describeObstacle(state.why)}`;
    case 'unreadable':
      return `its entry cannot be read: ${state.reason}`;
  }
}

/** `refused by lb-1, lb-2: its private key cannot be opened; by lb-3: …`. */
function describeRefusals(by: Extract<CertificateState, { kind: 'refused' }>['by']): string {
  const reasons = new Map<string, string[]>();
  for (const { balancer, reason } of by) reasons.set(reason, [...(reasons.get(reason) ?? []), balancer]);
  return `refused ${[...reasons].map(([reason, who]) => `by ${who.join(', ')}: ${reason}`).join('; ')}`;
}

function failedTimes(failures: number): string {
  if (failures === 0) return 'failed';
  return failures === 1 ? 'failed once' : `failed ${failures} times`;
}

/** A line about a certificate that an operator should look at. */
export type CertificateTrouble = { readonly kind: 'bad' | 'note'; readonly says: string };

export function certificateTroubles(list: readonly ListedCertificate[], now: number): readonly CertificateTrouble[] {
  return [...withoutAcme(list), ...list.flatMap((listed) => troubleOf(listed, now) ?? [])];
}

/** The obstacle of a fleet, and not of one host. */
const nobody = 'no-acme';
const mostNamed = 3;

/** One line for all hosts: what is missing is the same. */
function withoutAcme(list: readonly ListedCertificate[]): readonly CertificateTrouble[] {
  const hosts = list
    .filter(({ state }) => state.kind === 'not-ordered' && state.why === nobody)
    .map(({ host }) => host);
  if (hosts.length === 0) return [];
  const more = hosts.length > mostNamed ? ` and ${hosts.length - mostNamed} more` : '';
  const named = `${hosts.slice(0, mostNamed).join(', ')}${more} ${hosts.length === 1 ? 'gets' : 'get'} no certificate`;
  return [{ kind: 'note', says: `${named}: ${describeObstacle(nobody)}` }];
}

function troubleOf(listed: ListedCertificate, now: number) {
  const { host, state, source, validUntil, nextTry } = listed;
  switch (state.kind) {
    case 'unreadable':
      return { kind: 'bad', says: `the certificate of ${host}: its entry cannot be read: ${state.reason}` } as const;
    case 'expired':
      // The list of what HAProxy serves says it of those in the folder.
      return source === 'folder' ? undefined : ({ kind: 'bad', says: `the certificate of ${host} has ended` } as const);
    case 'not-ordered':
      if (state.why === 'in-folder' || state.why === nobody) return undefined;
      return { kind: 'note', says: `${host} gets no certificate: ${describeObstacle(state.why)}` } as const;
    case 'failing': {
      const leftMs = validUntil === undefined ? undefined : Date.parse(validUntil) - now;
      const waitMs = nextTry === undefined ? 0 : Date.parse(nextTry) - now;
      const next = waitMs <= 0 ? 'the next try is due' : `the next try is in ${formatDuration(waitMs)}`;
      const times = state.failures === 0 ? next : `failed ${state.failures}×, ${next}`;
      const says = `${host} ${servedFor(leftMs)}: ${state.error} (${times})`;
      return { kind: isNearEnd(listed, now) ? 'bad' : 'note', says } as const;
    }
    // The status of each balancer has a line for what it refuses.
    case 'refused':
    case 'valid':
    case 'ordering': {
      if (!isNearEnd(listed, now) || validUntil === undefined) return undefined;
      const leftMs = Date.parse(validUntil) - now;
      const says = `${host} ${servedFor(leftMs)}, although its renewal is due`;
      return { kind: 'bad', says } as const;
    }
    case 'waiting':
      return undefined;
  }
}

/** Whether more than half of the time between the renewal and the end is over, or the certificate has ended. */
function isNearEnd({ validUntil, renewAt }: ListedCertificate, now: number): boolean {
  if (validUntil === undefined) return false;
  const end = Date.parse(validUntil);
  return now >= (renewAt === undefined ? end : (Date.parse(renewAt) + end) / 2);
}

function servedFor(leftMs: number | undefined): string {
  if (leftMs === undefined) return 'has no certificate';
  if (leftMs <= 0) return 'has a certificate that has ended';
  return `has a certificate for ${formatDuration(leftMs)} more, and no new one`;
}
