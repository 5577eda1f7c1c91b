import { formatDuration } from '../model/quantity.ts';
import type { CertificateState, ListedCertificate } from './certificate-list.ts';

/** Why no certificate is ordered for a host, by the balancer's word for it. */
const obstacles: Readonly<Record<string, string>> = {
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
    case 'waiting':
      return 'not ordered yet';
    case 'ordering':
      return `ordering (${state.stage})`;
    case 'failing':
      return `failed ${state.failures === 1 ? 'once' : `${state.failures} times`}: ${state.error}`;
    case 'not-ordered':
      return `not ordered: ${describeObstacle(state.why)}`;
    case 'unreadable':
      return `its entry cannot be read: ${state.reason}`;
  }
}

/** A line about a certificate that an operator should look at. */
export type CertificateTrouble = { readonly kind: 'bad' | 'note'; readonly says: string };

export function certificateTroubles(list: readonly ListedCertificate[], now: number): readonly CertificateTrouble[] {
  return list.flatMap((listed) => troubleOf(listed, now) ?? []);
}

function troubleOf({ host, state, source, validUntil, nextTry }: ListedCertificate, now: number) {
  switch (state.kind) {
    case 'unreadable':
      return { kind: 'bad', says: `the certificate of ${host}: its entry cannot be read: ${state.reason}` } as const;
    case 'expired':
      // The list of what HAProxy serves says it of those in the folder.
      return source === 'folder' ? undefined : ({ kind: 'bad', says: `the certificate of ${host} has ended` } as const);
    case 'not-ordered':
      if (state.why === 'in-folder') return undefined;
      return { kind: 'note', says: `${host} gets no certificate: ${describeObstacle(state.why)}` } as const;
    case 'failing': {
      const leftMs = validUntil === undefined ? undefined : Date.parse(validUntil) - now;
      const waitMs = nextTry === undefined ? 0 : Date.parse(nextTry) - now;
      const next = waitMs <= 0 ? 'the next try is due' : `the next try is in ${formatDuration(waitMs)}`;
      const says = `${host} ${servedFor(leftMs)}: ${state.error} (failed ${state.failures}×, ${next})`;
      return { kind: leftMs !== undefined && leftMs <= 0 ? 'bad' : 'note', says } as const;
    }
    case 'valid':
    case 'ordering':
    case 'waiting':
      return undefined;
  }
}

function servedFor(leftMs: number | undefined): string {
  if (leftMs === undefined) return 'has no certificate';
  if (leftMs <= 0) return 'has a certificate that has ended';
  return `has a certificate for ${formatDuration(leftMs)} more, and no new one`;
}
