import * as v from 'valibot';
import type { Parsed } from '../parsed.ts';
import { parseEntry } from '../policy/field.ts';
import { time } from './time.ts';

/** A certificate as the registry has it, in `certificates/<host>`. */
export type StoredCertificate = {
  /** PEM: the certificate and its chain. */
  readonly certificate: string;
  /** The private key (PEM), sealed; see `seal`. */
  readonly key: string;
  /** ISO 8601. */
  readonly issuedAt: string;
  /** The address of the authority's directory. Undefined: an operator wrote the entry. */
  readonly authority: string | undefined;
  /** When to renew it (ISO 8601), with the jitter in it. */
  readonly renewAt: string | undefined;
  /** Who chose that time: the authority's advice (RFC 9773), or two thirds of the lifetime. */
  readonly renewBy: 'advice' | 'lifetime' | undefined;
};

const schema = v.strictObject({
  certificate: v.pipe(v.string(), v.maxLength(100_000)),
  key: v.pipe(v.string(), v.maxLength(20_000)),
  issuedAt: time,
  authority: v.optional(v.pipe(v.string(), v.maxLength(1000))),
  renewAt: v.optional(time),
  renewBy: v.optional(v.picklist(['advice', 'lifetime'])),
});

/** Reads the value of `certificates/<host>`. */
export const parseStoredCertificate = (value: string): Parsed<StoredCertificate> => {
  const read = parseEntry(value, schema, 'a certificate');
  if (!read.ok) return read;
  const { authority, renewAt, renewBy, ...rest } = read.value;
  return { ok: true, value: { ...rest, authority, renewAt, renewBy } };
};

export const formatStoredCertificate = (stored: StoredCertificate): string => JSON.stringify(stored);
