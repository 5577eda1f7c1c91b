import * as v from 'valibot';
import type { Parsed } from '../parsed.ts';
import { parseEntry } from '../policy/field.ts';

/** The account at an authority, in `acme/account`. */
export type Account = {
  /** The address of the authority's directory. */
  readonly authority: string;
  /** The address of the account; undefined: its key exists, and the authority was not asked yet. */
  readonly url: string | undefined;
  /** The private key (PEM), sealed; see `seal`. */
  readonly key: string;
  /** The balancer that made it; undefined: not known. */
  readonly by: string | undefined;
};

const schema = v.strictObject({
  authority: v.pipe(v.string(), v.maxLength(1000)),
  url: v.optional(v.pipe(v.string(), v.maxLength(1000))),
  key: v.pipe(v.string(), v.maxLength(20_000)),
  by: v.optional(v.pipe(v.string(), v.maxLength(63))),
});

/** Reads the value of `acme/account`. */
export const parseAccount = (value: string): Parsed<Account> => {
  const read = parseEntry(value, schema, 'an account');
  if (!read.ok) return read;
  const { url, by, ...rest } = read.value;
  return { ok: true, value: { ...rest, url, by } };
};

export const formatAccount = (account: Account): string => JSON.stringify(account);
