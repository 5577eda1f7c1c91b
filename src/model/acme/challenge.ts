import * as v from 'valibot';
import type { Parsed } from '../parsed.ts';
import { parseEntry } from '../policy/field.ts';

/** The answer to `http://<host>/.well-known/acme-challenge/<token>` (RFC 8555, section 8.3). The token is in the key. */
export type Challenge = {
  readonly host: string;
  /** The key authorization: the token, a dot, and the thumbprint of the account's key. */
  readonly answer: string;
};

export function isKeyAuthorization(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,256}\.[A-Za-z0-9_-]{43}$/.test(text);
}

const schema = v.strictObject({
  host: v.pipe(v.string(), v.regex(/^[a-z0-9_-][a-z0-9._-]{0,254}$/, 'it is not a host name')),
  answer: v.pipe(v.string(), v.check(isKeyAuthorization, 'it is not a key authorization')),
});

/** Reads the value of `challenges/<token>`. */
export const parseChallenge = (value: string): Parsed<Challenge> => parseEntry(value, schema, 'a challenge');

/** Whether this is a token as an authority makes it (base64url); others reach neither the map nor a file name. */
export const isToken = (text: string): boolean => /^[A-Za-z0-9_-]{1,256}$/.test(text);

export const formatChallenge = ({ host, answer }: Challenge): string => JSON.stringify({ host, answer });
