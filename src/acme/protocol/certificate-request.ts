import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { element, objectId, sequence } from './der.ts';

const extensionRequest = '2a864886f70d01090e'; // 1.2.840.113549.1.9.14
const subjectAltName = '551d11'; // 2.5.29.17
const ecdsaWithSha256 = '2a8648ce3d040302'; // 1.2.840.10045.4.3.2
const sha256WithRsa = '2a864886f70d01010b'; // 1.2.840.113549.1.1.11
const nothing = element(0x05);

/**
 * A request for a certificate of one name (PKCS #10, DER). The name is only a subject alternative name: authorities ignore or refuse a
 * subject, which has room for 64 characters.
 */
export function certificateRequest(host: string, key: KeyObject): Buffer {
  // A dNSName (RFC 5280, section 4.2.1.6).
  const names = sequence(element(0x82, Buffer.from(host, 'latin1')));
  const extension = sequence(objectId(subjectAltName), element(0x04, names));
  const attribute = sequence(objectId(extensionRequest), element(0x31, sequence(extension)));
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const version = element(0x02, Buffer.from([0]));
  const body = sequence(version, sequence(), publicKey, element(0xa0, attribute));
  const isRsa = key.asymmetricKeyType === 'rsa';
  const algorithm = isRsa ? sequence(objectId(sha256WithRsa), nothing) : sequence(objectId(ecdsaWithSha256));
  const signature = sign('sha256', body, key);
  return sequence(body, algorithm, element(0x03, Buffer.from([0]), signature));
}
