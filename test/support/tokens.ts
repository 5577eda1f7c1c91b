import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** A signer of tokens (RFC 7519), with its public key as a JWK. */
export type Signer = {
  readonly jwk: Readonly<Record<string, unknown>>;
  readonly pem: string;
  /** `claims`: as a string, the JSON itself. */
  readonly token: (claims: object | string, header?: object) => string;
};

const part = (value: object | string): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Signs with a shared secret, whatever the secret was meant for. */
export function sharedToken(secret: Buffer | string, claims: object, header: object): string {
  const text = `${part(header)}.${part(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

export function makeSigner(algorithm: 'RS256' | 'ES256' | 'PS256', kid: string): Signer {
  const { publicKey, privateKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' };
  return {
    jwk,
    pem: String(publicKey.export({ type: 'spki', format: 'pem' })),
    token(claims, header = {}) {
      const text = `${part({ alg: algorithm, kid, ...header })}.${part(claims)}`;
      return `${text}.${signature(algorithm, privateKey, text)}`;
    },
  };
}

function signature(algorithm: string, key: KeyObject, text: string): string {
  // 6: RSA-PSS, with a salt as long as the hash.
  const pss = algorithm === 'PS256' ? { padding: 6, saltLength: 32 } : {};
  return sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363', ...pss }).toString('base64url');
}
