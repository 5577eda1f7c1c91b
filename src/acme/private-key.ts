import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

const generate = promisify(generateKeyPair);

/** Makes a private key: ECDSA of P-256, or RSA of 2048 bits. */
export async function makePrivateKey(type: 'ecdsa' | 'rsa'): Promise<KeyObject> {
  const made = type === 'ecdsa' ? generate('ec', { namedCurve: 'P-256' }) : generate('rsa', { modulusLength: 2048 });
  return (await made).privateKey;
}

export const pemOf = (key: KeyObject): string => String(key.export({ type: 'pkcs8', format: 'pem' }));
