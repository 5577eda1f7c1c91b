import { formatDuration } from '../model/quantity.ts';
import type { CertificateState, ListedCertificate } from './certificate-list.ts';

/** Why no certificate is ordered for a host, by the balancer's word for it. */
const obstacles: Readonly<Record<string, string>> = {
  'in-folder': 'a certificate of --certificates is for it',
  'not-allowed': '--acme-allow does not name it',
  'needs-dns-01': 'a wildcard needs --acme-challenge dns-01',
  'no-name': 'no certificate can have this name: give the exact host, or *.example.com',
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

/** A line for each certificate that an operator should look at. */
export function certificateTroubles(list: readonly ListedCertificate[], now: number): readonly string[] {
  return list.flatMap(({ host, state, source, validUntil, nextTry }) => {
    if (state.kind === 'unreadable') return [`certificates: the entry of ${host} cannot be read: ${state.reason}`];
    if (state.kind === 'expired') return source === 'folder' ? [] : [`the certificate of ${host} has ended`];
    if (state.kind === 'not-ordered' && state.why !== 'in-folder')
      return [`${host} gets no certificate: ${describeObstacle(state.why)}`];
    if (state.kind !== 'failing') return [];
    const left = validUntil === undefined ? undefined : Date.parse(validUntil) - now;
    const served =
      left === undefined
        ? 'has no certificate'
        : left <= 0
          ? 'has a certificate that has ended'
          : `has a certificate for ${formatDuration(left)} more, and no new one`;
    const wait = nextTry === undefined ? 0 : Date.parse(nextTry) - now;
    const next = wait <= 0 ? 'the next try is due' : `the next try is in ${formatDuration(wait)}`;
    return [`${host} ${served}: ${state.error} (failed ${state.failures}×, ${next})`];
  });
}
