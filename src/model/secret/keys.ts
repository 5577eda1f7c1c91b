import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { accepted, type Parsed, rejected } from '../parsed.ts';
import type { JwtAlgorithm } from '../policy/auth-jwt.ts';

/** A key that verifies signatures of tokens. */
export type JwtKey = {
  /** Tokens name the key by it. Undefined: the key is for tokens that name none. */
  readonly id: string | undefined;
  /** The algorithms that the key is for. No other one is accepted, whatever a token says. */
  readonly algorithms: readonly JwtAlgorithm[];
} & (
  | { readonly kind: 'public'; readonly pem: string; readonly fingerprint: string }
  /** The shared secret, in base64url. */
  | { readonly kind: 'shared'; readonly secret: string }
);

// These characters mean nothing in HAProxy's maps and commands.
const keyId = /^[A-Za-z0-9._~:/+=@-]{1,128}$/;
const mostKeys = 16;

const rsaAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const;
const curves: Readonly<Record<string, JwtAlgorithm>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };
// RFC 7518, 3.2: a key is at least as long as the hash.
const sharedAlgorithms = [
  ['HS256', 32],
  ['HS384', 48],
  ['HS512', 64],
] as const;

/** Whether a file of secrets has keys, and not users. */
export const looksLikeKeys = (text: string): boolean => /^\s*(\{|-----BEGIN )/.test(text);

/** Reads keys from a JWKS (RFC 7517), or from the PEM text of public keys. Keys of a JWKS that cannot verify tokens are left out. */
export function parseKeys(text: string): Parsed<readonly JwtKey[]> {
  const keys = /^\s*\{/.test(text) ? keysOfSet(text) : keysOfPem(text);
  if (!keys.ok) return keys;
  if (keys.value.length === 0)
    return rejected('it has no key that can verify tokens: RSA, EC (P-256, P-384, P-521) or oct');
  return keys.value.length > mostKeys ? rejected(`it has more than ${mostKeys} keys`) : keys;
}

function keysOfPem(text: string): Parsed<readonly JwtKey[]> {
  const keys: JwtKey[] = [];
  for (const [block] of text.matchAll(
    /-----BEGIN [A-Z ]{1,40}-----[A-Za-z0-9+/=\s]{1,65536}-----END [A-Z ]{1,40}-----/g,
  )) {
    if (block.includes('PRIVATE KEY')) {
      return rejected(
        'it has a private key, which a balancer must not have: store the public key (openssl pkey -pubout)',
      );
    }
    try {
      const key = publicKey(createPublicKey(block), undefined, undefined);
      if (key === undefined) return rejected('it has a key that is neither RSA nor EC with P-256, P-384 or P-521');
      keys.push(key);
    } catch (error) {
      return rejected(`it cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return accepted(keys);
}

type Jwk = Readonly<Record<string, unknown>>;

function keysOfSet(text: string): Parsed<readonly JwtKey[]> {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return rejected('it is not JSON');
  }
  const list = (set as { readonly keys?: unknown } | null)?.keys;
  if (!Array.isArray(list)) return rejected('it is not a JWKS: it has no list "keys"');
  const keys: JwtKey[] = [];
  for (const jwk of list as readonly unknown[]) {
    if (typeof jwk !== 'object' || jwk === null) return rejected('it is not a JWKS: a key is not an object');
    const key = keyOf(jwk as Jwk);
    if (key !== undefined) keys.push(key);
  }
  return accepted(keys);
}

/** Undefined for a key that is for something else. */
function keyOf(jwk: Jwk): JwtKey | undefined {
  const { kid, use, alg, kty } = jwk;
  if (use !== undefined && use !== 'sig') return undefined;
  if (kid !== undefined && (typeof kid !== 'string' || !keyId.test(kid))) return undefined;
  const id = kid as string | undefined;
  if (kty === 'oct') return sharedKey(jwk, id);
  // A set of public keys is public, so private keys in it are no secret any more.
  if ('d' in jwk) return undefined;
  try {
    return publicKey(createPublicKey({ key: jwk, format: 'jwk' }), id, alg);
  } catch {
    return undefined;
  }
}

function sharedKey({ k, alg }: Jwk, id: string | undefined): JwtKey | undefined {
  if (typeof k !== 'string' || !/^[A-Za-z0-9_-]{43,1024}$/.test(k)) return undefined;
  const bytes = Buffer.from(k, 'base64url').length;
  const algorithms = sharedAlgorithms
    .filter(([name, least]) => bytes >= least && (alg === undefined || alg === name))
    .map(([name]) => name);
  return algorithms.length === 0 ? undefined : { kind: 'shared', id, algorithms, secret: k };
}

function publicKey(key: KeyObject, id: string | undefined, only: unknown): JwtKey | undefined {
  const algorithms = algorithmsOf(key).filter((name) => only === undefined || only === name);
  if (algorithms.length === 0) return undefined;
  const pem = String(key.export({ type: 'spki', format: 'pem' }));
  return { kind: 'public', id, algorithms, pem, fingerprint: createHash('sha256').update(pem).digest('hex') };
}

function algorithmsOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): readonly JwtAlgorithm[] {
  // RFC 7518, 3.3: an RSA key has 2048 bits or more.
  if (type === 'rsa') return (details?.modulusLength ?? 0) >= 2048 ? rsaAlgorithms : [];
  const curve = type === 'ec' ? curves[details?.namedCurve ?? ''] : undefined;
  return curve === undefined ? [] : [curve];
}
