import { createHash, createHmac, createPublicKey, type KeyObject, sign } from 'node:crypto';

/** A signed request (RFC 7515, flattened JSON). */
export type SignedRequest = { readonly protected: string; readonly payload: string; readonly signature: string };

/** The public key of an account, with its fields in the order that its thumbprint needs (RFC 7638). */
type PublicJwk = { readonly crv: string; readonly kty: string; readonly x: string; readonly y: string };

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The keys of accounts are of P-256, which every authority takes (RFC 8555, section 6.2). */
function publicJwk(key: KeyObject): PublicJwk {
  const { crv, kty, x, y } = createPublicKey(key).export({ format: 'jwk' });
  if (crv !== 'P-256' || kty !== 'EC' || x === undefined || y === undefined) {
    throw new Error('the key of the account is not an ECDSA key of P-256');
  }
  return { crv, kty, x, y };
}

/** The key authorization of a token (RFC 8555, section 8.1). */
export function keyAuthorization(token: string, key: KeyObject): string {
  const thumbprint = createHash('sha256')
    .update(JSON.stringify(publicJwk(key)))
    .digest('base64url');
  return `${token}.${thumbprint}`;
}

/** What a request says about itself beside its signature. */
export type RequestHeader = {
  readonly url: string;
  readonly nonce: string;
  /** The address of the account; undefined before it has one: its key is sent instead. */
  readonly account: string | undefined;
};

/** Signs a request. A payload of undefined reads (RFC 8555, section 6.3: POST-as-GET). */
export function signRequest(payload: unknown, header: RequestHeader, key: KeyObject): SignedRequest {
  const { url, nonce, account } = header;
  const who = account === undefined ? { jwk: publicJwk(key) } : { kid: account };
  const head = encode({ alg: 'ES256', nonce, url, ...who });
  const body = payload === undefined ? '' : encode(payload);
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' });
  return { protected: head, payload: body, signature: signature.toString('base64url') };
}

/** Binds the account's key to an account that the authority knows from elsewhere (RFC 8555, section 7.3.4). */
export function externalBinding(
  url: string,
  key: KeyObject,
  { kid, mac }: { kid: string; mac: Uint8Array },
): SignedRequest {
  const head = encode({ alg: 'HS256', kid, url });
  const body = encode(publicJwk(key));
  const signature = createHmac('sha256', mac).update(`${head}.${body}`).digest('base64url');
  return { protected: head, payload: body, signature };
}
