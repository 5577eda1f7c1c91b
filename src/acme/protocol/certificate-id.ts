import { X509Certificate } from 'node:crypto';
import { objectId, readElement } from './der.ts';

const authorityKeyIdentifier = objectId('551d23'); // 2.5.29.35

/**
 * The id of a certificate in the authority's advice about renewals (RFC 9773, section 4.1): the authority's key identifier and the serial
 * number. Undefined: the certificate does not name the authority's key.
 */
export function certificateId(pem: string): string | undefined {
  const { raw, serialNumber } = new X509Certificate(pem);
  const authority = keyIdentifierIn(raw);
  if (authority === undefined) return undefined;
  const serial = Buffer.from(serialNumber.padStart(serialNumber.length + (serialNumber.length % 2), '0'), 'hex');
  // DER writes a number with a leading zero byte where its first bit is set.
  const bytes = (serial[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), serial]) : serial;
  return `${authority.toString('base64url')}.${bytes.toString('base64url')}`;
}

/** The field keyIdentifier of the extension authorityKeyIdentifier (RFC 5280, section 4.2.1.1). */
function keyIdentifierIn(certificate: Buffer): Buffer | undefined {
  const at = certificate.indexOf(authorityKeyIdentifier);
  if (at === -1) return undefined;
  const value = readElement(certificate.subarray(at + authorityKeyIdentifier.length));
  const fields = value?.tag === 0x04 ? readElement(value.content) : undefined;
  const first = fields?.tag === 0x30 ? readElement(fields.content) : undefined;
  return first?.tag === 0x80 ? first.content : undefined;
}
