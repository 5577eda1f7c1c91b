import type { BalanceHealth } from '../balance/health.ts';

type CertificateStatus = BalanceHealth['certificates'][number];

const dayMs = 86_400_000;
const hourMs = 3_600_000;
// Most certificates are renewed a month before their end, and those that are valid for a few days after two thirds of that time.
const soon = { mostMs: 21 * dayMs, share: 1 / 4 };
const urgent = { mostMs: 7 * dayMs, share: 1 / 10 };

/** When a certificate ends. */
export type CertificateEnd = {
  readonly kind: 'bad' | 'note' | 'good';
  /** `ends in 59 days`, `ended 2 days ago`. */
  readonly says: string;
};

export function endOf(
  { notBefore, notAfter }: Pick<CertificateStatus, 'notBefore' | 'notAfter'>,
  now: Date,
): CertificateEnd {
  const leftMs = Date.parse(notAfter) - now.getTime();
  const validMs = Date.parse(notAfter) - Date.parse(notBefore);
  const isWithin = ({ mostMs, share }: typeof soon) => leftMs < Math.min(mostMs, validMs * share);
  const span = describeSpan(Math.abs(leftMs));
  if (leftMs <= 0) return { kind: 'bad', says: `ended ${span} ago` };
  return { kind: isWithin(urgent) ? 'bad' : isWithin(soon) ? 'note' : 'good', says: `ends in ${span}` };
}

function describeSpan(ms: number): string {
  const [count, unit] = ms < 2 * dayMs ? [Math.floor(ms / hourMs), 'hour'] : [Math.floor(ms / dayMs), 'day'];
  return count === 1 ? `1 ${unit}` : `${count} ${unit}s`;
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
