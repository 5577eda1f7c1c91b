import * as v from 'valibot';
import { type FileName, parseFileName } from '../file-name.ts';
import type { HeaderName } from '../header.ts';
import { identityHeader } from './auth-words.ts';
import { parsedText } from './field.ts';

/** The parts of a client's certificate that a header can tell the application. */
export const certificateParts = ['cn', 'dn', 'serial', 'fingerprint', 'der'] as const;
export type CertificatePart = (typeof certificateParts)[number];

/** Certificates of clients, as TLS asks for them (mTLS). */
export type CertificateAuth = {
  /** The file of secrets with the authorities whose certificates count. */
  readonly ca: FileName;
  /** The file of secrets with the certificates that the authorities revoked. */
  readonly crl: FileName | undefined;
  /** Whether a client without a certificate is refused. */
  readonly required: boolean;
  /** The headers that tell the application about the certificate. */
  readonly headers: readonly { readonly name: HeaderName; readonly part: CertificatePart }[];
};

/** Names the authorities and the revoked certificates that a host is served with. A host can have only one of these. */
export const trustOf = ({ ca, crl }: Pick<CertificateAuth, 'ca' | 'crl'>): string => `${ca}/${crl ?? ''}`;

const headers = v.pipe(
  v.record(identityHeader, v.picklist(certificateParts)),
  v.transform((given) => Object.entries(given).map(([name, part = 'cn']) => ({ name: name as HeaderName, part }))),
  v.maxLength(16, 'it has more than 16 headers'),
);

export const certificateField = v.pipe(
  v.strictObject({
    ca: parsedText(parseFileName),
    crl: v.optional(parsedText(parseFileName)),
    required: v.optional(v.boolean()),
    headers: v.optional(headers),
  }),
  v.transform(({ ca, crl, required = true, headers = [] }): CertificateAuth => ({ ca, crl, required, headers })),
);
