import type { BalanceHealth } from '../balance/health.ts';

type CertificateStatus = BalanceHealth['certificates'][number];

const dayMs = 86_400_000;
// Most certificates are renewed a month before their end.
const soonDays = 21;
const urgentDays = 7;

/** When a certificate ends. */
export type CertificateEnd = {
  readonly kind: 'bad' | 'note' | 'good';
  /** `ends in 59 days`, `ended 2 days ago`. */
  readonly says: string;
};

export function endOf({ notAfter }: Pick<CertificateStatus, 'notAfter'>, now: Date): CertificateEnd {
  const leftMs = Date.parse(notAfter) - now.getTime();
  const days = Math.floor(Math.abs(leftMs) / dayMs);
  const span = days === 1 ? '1 day' : `${days} days`;
  if (leftMs <= 0) return { kind: 'bad', says: `ended ${span} ago` };
  return { kind: days < urgentDays ? 'bad' : days < soonDays ? 'note' : 'good', says: `ends in ${span}` };
}

/** The certificates by their end, the first to end first. */
export const byEnd = (certificates: readonly CertificateStatus[]): readonly CertificateStatus[] =>
  certificates.toSorted((a, b) => Date.parse(a.notAfter) - Date.parse(b.notAfter));

/** A line for each certificate that has to be renewed. */
export function* certificateTrouble(certificates: readonly CertificateStatus[], now: Date) {
  for (const certificate of byEnd(certificates)) {
    const { kind, says } = endOf(certificate, now);
    if (kind !== 'good') yield { kind, says: `The certificate ${certificate.name} ${says}.` };
  }
}
