import type { CookieName, HeaderName } from '../model/header.ts';
import type { Auth, BasicAuth } from '../model/policy/auth.ts';
import {
  type CertificateAuth,
  type CertificatePart,
  certificateParts,
  trustOf,
} from '../model/policy/auth-certificate.ts';
import type { JwtAuth } from '../model/policy/auth-jwt.ts';
import { ConfigWord } from '../template/config-word.ts';
import { clientHostsFile } from './client-certificate-files.ts';

/** The part of the view of a policy that says who may ask. */
export type AuthView = {
  readonly authMap: string;
  /** Expressions for the headers that only HAProxy sets, in each spelling. */
  readonly identityHeaders: readonly { readonly pattern: ConfigWord }[];
  readonly basicAuth: BasicView | undefined;
  readonly jwtAuth: JwtView | undefined;
  readonly certificateAuth: CertificateView | undefined;
  readonly dropAuthorization: boolean;
};

type CertificateView = {
  readonly hostsMap: string;
  readonly trust: string;
  readonly required: boolean;
  readonly certificateHeaders: readonly ({ readonly name: HeaderName } & Readonly<Record<CertificatePart, boolean>>)[];
};

type BasicView = {
  /** How keys of the map begin that are for this file. */
  readonly users: string;
  readonly realm: ConfigWord;
  readonly userHeader: HeaderName | undefined;
};

/** A claim, or an element of its list, with the values that count. */
type Place = { readonly place: string; readonly values: readonly string[] };

type JwtView = {
  readonly keys: string;
  readonly keysFile: string;
  readonly algorithm: string;
  readonly shared: boolean;
  /** HAProxy before 3.0 cannot verify it. */
  readonly pss: boolean;
  readonly tokenCookie: CookieName | undefined;
  /** As text: Mustache takes the number 0 for nothing. */
  readonly leeway: string;
  readonly issuer: string | undefined;
  readonly audience: readonly Place[];
  readonly hasAudience: boolean;
  readonly claims: readonly { readonly acl: string; readonly places: readonly Place[] }[];
  /** `claimName`: the last name of the path. */
  readonly claimHeaders: readonly (JwtAuth['headers'][number] & { readonly claimName: string })[];
  readonly hasClaimHeaders: boolean;
};

export const authNames = [
  ...['authMap', 'identityHeaders', 'pattern', 'basicAuth', 'users', 'realm', 'userHeader', 'dropAuthorization'],
  ...['certificateAuth', 'hostsMap', 'trust', 'required', 'certificateHeaders', ...certificateParts],
  ...['jwtAuth', 'keys', 'keysFile', 'algorithm', 'shared', 'pss', 'tokenCookie', 'leeway', 'issuer'],
  ...[
    'audience',
    'hasAudience',
    'place',
    'values',
    'claims',
    'acl',
    'places',
    'claimHeaders',
    'hasClaimHeaders',
    'claim',
    'claimName',
  ],
] as const;

export function authView(
  auth: Auth | undefined,
  { authMap, clientCertificates }: { readonly authMap: string; readonly clientCertificates: string },
): AuthView {
  const { basic, jwt, certificate } = auth ?? {};
  const named = [...(jwt?.headers ?? []), ...(certificate?.headers ?? [])];
  const headers = [basic?.userHeader, ...named.map(({ name }) => name)];
  const forward = basic?.forwardCredentials ?? jwt?.forwardCredentials ?? true;
  return {
    authMap,
    identityHeaders: headers.filter((name) => name !== undefined).map((name) => ({ pattern: anySpelling(name) })),
    basicAuth: basic && basicView(basic),
    jwtAuth: jwt && jwtView(jwt),
    certificateAuth: certificate && certificateView(certificate, clientCertificates),
    dropAuthorization: !forward,
  };
}

/** Whatever stands where the name has "-" or "_". HAProxy writes names in lower case before it compares. */
function anySpelling(name: HeaderName): ConfigWord {
  return ConfigWord.of(name.toLowerCase().replace(/[-_]/g, '[^a-z0-9]'));
}

function certificateView(certificate: CertificateAuth, folder: string): CertificateView {
  const { required, headers } = certificate;
  return {
    hostsMap: clientHostsFile(folder),
    trust: trustOf(certificate),
    required,
    certificateHeaders: headers.map(({ name, part: told }) => {
      const part = (one: CertificatePart) => one === told;
      return {
        ...{ name, cn: part('cn'), dn: part('dn') },
        ...{ serial: part('serial'), fingerprint: part('fingerprint'), der: part('der') },
      };
    }),
  };
}

function basicView({ users, realm, userHeader }: BasicAuth): BasicView {
  return { users: `users:${users}/`, realm: ConfigWord.of(realm ?? 'restricted'), userHeader };
}

function jwtView({ algorithm, keys, issuer, audience, leewaySeconds, claims, headers, cookie }: JwtAuth): JwtView {
  return {
    keys: `${algorithm}:${keys}/`,
    keysFile: `keys:${keys}/`,
    algorithm,
    shared: algorithm.startsWith('HS'),
    pss: algorithm.startsWith('PS'),
    tokenCookie: cookie,
    leeway: String(leewaySeconds),
    issuer,
    audience: audience.length === 0 ? [] : placesOf('aud', audience),
    hasAudience: audience.length > 0,
    claims: claims.map(({ claim, values }, at) => ({ acl: `jwt-claim-${at}`, places: placesOf(claim, values) })),
    claimHeaders: headers.map((one) => ({ ...one, claimName: one.claim.slice(one.claim.lastIndexOf('.') + 1) })),
    hasClaimHeaders: headers.length > 0,
  };
}

// HAProxy 2.6 reads single elements of a list only.
const mostElements = 32;

/** A claim is one text or a list of texts. */
function placesOf(claim: string, values: readonly string[]): readonly Place[] {
  const elements = Array.from({ length: mostElements }, (_, at) => ({ place: `${claim}[${at}]`, values }));
  return [{ place: claim, values }, ...elements];
}
