import * as v from 'valibot';
import { type FileName, parseFileName } from '../file-name.ts';
import type { HeaderName } from '../header.ts';
import { accepted, quote, rejected } from '../parsed.ts';
import { type CertificateAuth, certificateField } from './auth-certificate.ts';
import { type ForwardAuth, forwardField } from './auth-forward.ts';
import { type JwtAuth, jwtField } from './auth-jwt.ts';
import { identityHeader } from './auth-words.ts';
import { parsedText } from './field.ts';

/** Users and passwords of a file of secrets. */
export type BasicAuth = {
  readonly users: FileName;
  /** The name of the protected area that browsers show. */
  readonly realm: string | undefined;
  /** The header that tells the application who the user is. */
  readonly userHeader: HeaderName | undefined;
  /** Whether the application gets the header Authorization with the password. */
  readonly forwardCredentials: boolean;
};

/** Who may ask, by who they are. One of the fields is there. */
export type Auth = {
  readonly basic?: BasicAuth | undefined;
  readonly jwt?: JwtAuth | undefined;
  readonly forward?: ForwardAuth | undefined;
  readonly certificate?: CertificateAuth | undefined;
};

/** The file of users or keys that it needs. */
export const secretFileOf = (auth: Auth | undefined): FileName | undefined => auth?.basic?.users ?? auth?.jwt?.keys;

const realm = parsedText((text) =>
  /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$/.test(text)
    ? accepted(text)
    : rejected(`${quote(text)} is not a realm: 1 to 63 of A-Z a-z 0-9 . _ - and space, a letter or digit first`),
);

const basicField = v.pipe(
  v.strictObject({
    users: parsedText(parseFileName),
    realm: v.optional(realm),
    userHeader: v.optional(identityHeader),
    forwardCredentials: v.optional(v.boolean()),
  }),
  v.transform(
    ({ users, realm, userHeader, forwardCredentials = false }): BasicAuth => ({
      ...{ users, realm, userHeader, forwardCredentials },
    }),
  ),
);

const kinds = ['basic', 'jwt', 'forward', 'certificate'] as const;

export const authField = v.pipe(
  v.strictObject({
    basic: v.optional(basicField),
    jwt: v.optional(jwtField),
    forward: v.optional(forwardField),
    certificate: v.optional(certificateField),
  }),
  v.check(
    (given) => kinds.filter((kind) => given[kind] !== undefined).length === 1,
    `it needs exactly one of the fields ${kinds.join(', ')}`,
  ),
  v.transform((given): Auth => given),
);
