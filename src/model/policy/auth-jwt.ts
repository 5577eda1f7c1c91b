import * as v from 'valibot';
import { type FileName, parseFileName } from '../file-name.ts';
import { type CookieName, type HeaderName, parseCookieName } from '../header.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from '../parsed.ts';
import { identityHeader } from './auth-words.ts';
import { duration, parsedText } from './field.ts';

/** The algorithms of signatures that HAProxy can verify. PS256 to PS512 need HAProxy 3.0. */
const jwtAlgorithms = [
  ...(['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['HS256', 'HS384', 'HS512'] as const),
] as const;
export type JwtAlgorithm = (typeof jwtAlgorithms)[number];

/** The path of a claim in a token: `sub`, `realm_access.roles`. */
type ClaimPath = Brand<string, 'ClaimPath'>;
/** The text of a claim. It may be written into a haproxy.cfg as it is. */
type ClaimText = Brand<string, 'ClaimText'>;

/** Signed tokens (RFC 7519). */
export type JwtAuth = {
  readonly algorithm: JwtAlgorithm;
  /** The file of secrets with the keys, as a JWKS or as PEM text. */
  readonly keys: FileName;
  readonly issuer: ClaimText | undefined;
  /** One of these must be in the claim `aud`. Empty: the claim does not count. */
  readonly audience: readonly ClaimText[];
  /** How far the clocks of balancer and issuer may differ, in s. */
  readonly leewaySeconds: number;
  /** Each claim must have one of these values. */
  readonly claims: readonly { readonly claim: ClaimPath; readonly values: readonly ClaimText[] }[];
  /** The headers that tell the application the values of claims. */
  readonly headers: readonly { readonly name: HeaderName; readonly claim: ClaimPath }[];
  /** The cookie with the token; undefined: the token is in the header Authorization. */
  readonly cookie: CookieName | undefined;
  /** Whether the application gets the header or the cookie with the token. */
  readonly forwardCredentials: boolean;
};

function parseClaimPath(text: string): Parsed<ClaimPath> {
  return /^[A-Za-z_][A-Za-z0-9_-]{0,63}(\.[A-Za-z_][A-Za-z0-9_-]{0,63}){0,4}$/.test(text)
    ? accepted(text as ClaimPath)
    : rejected(
        `${quote(text)} is not the path of a claim: names of A-Z a-z 0-9 _ -, a letter or _ first, with a dot between them`,
      );
}

function parseClaimText(text: string): Parsed<ClaimText> {
  return /^[A-Za-z0-9_][A-Za-z0-9_:/.@=+~-]{0,254}$/.test(text)
    ? accepted(text as ClaimText)
    : rejected(
        `${quote(text)} is not a value of a claim: 1 to 255 of A-Z a-z 0-9 _ : / . @ = + ~ -, a letter, digit or _ first`,
      );
}

const text = parsedText(parseClaimText);
const texts = v.pipe(v.array(text), v.minLength(1), v.maxLength(16));
const oneOrMore = v.pipe(
  v.union([text, texts]),
  v.transform((given) => (typeof given === 'string' ? [given] : given)),
);

const claims = v.pipe(
  v.record(parsedText(parseClaimPath), oneOrMore),
  v.transform((given) => Object.entries(given).map(([claim, values = []]) => ({ claim: claim as ClaimPath, values }))),
  v.maxLength(16, 'it has more than 16 claims'),
);

const headers = v.pipe(
  v.record(identityHeader, parsedText(parseClaimPath)),
  v.transform((given) =>
    Object.entries(given).map(([name, claim]) => ({ name: name as HeaderName, claim: claim as ClaimPath })),
  ),
  v.maxLength(16, 'it has more than 16 headers'),
);

export const jwtField = v.pipe(
  v.strictObject({
    algorithm: v.picklist(jwtAlgorithms),
    keys: parsedText(parseFileName),
    issuer: v.optional(text),
    audience: v.optional(oneOrMore),
    leeway: v.optional(duration),
    claims: v.optional(claims),
    headers: v.optional(headers),
    cookie: v.optional(parsedText(parseCookieName)),
    forwardCredentials: v.optional(v.boolean()),
  }),
  v.check(
    ({ cookie, forwardCredentials }) => cookie === undefined || forwardCredentials !== false,
    'forwardCredentials cannot be false with a cookie, because HAProxy cannot remove a cookie of its own',
  ),
  v.transform(
    ({ leeway = 0, audience = [], claims = [], headers = [], forwardCredentials = true, ...given }): JwtAuth => ({
      ...{ algorithm: given.algorithm, keys: given.keys, issuer: given.issuer, audience },
      leewaySeconds: Math.ceil(leeway / 1000),
      ...{ claims, headers, cookie: given.cookie, forwardCredentials },
    }),
  ),
);
