import * as v from 'valibot';
import { parseFileName } from '../file-name.ts';
import { accepted, type Parsed, rejected } from '../parsed.ts';
import { duration, parsedText, parseEntry } from '../policy/field.ts';

/** Where the keys of an issuer are published (RFC 7517), as a file of secrets says it. */
export type JwksAddress = {
  readonly url: string;
  /** The file of the same folder with the authorities that the server's certificate must be from; undefined: those of the system. */
  readonly ca: string | undefined;
  /** How often the keys are fetched, in ms; undefined: as the server says. */
  readonly intervalMs: number | undefined;
};

function parseUrl(text: string): Parsed<string> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The address may have a password in it, so it is not repeated.
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    return rejected('it is not an address that begins with https:// and has no user in it');
  }
  return accepted(url.href);
}

const schema = v.strictObject({
  jwks: parsedText(parseUrl),
  ca: v.optional(parsedText(parseFileName)),
  interval: v.optional(
    v.pipe(
      duration,
      v.check((ms) => ms >= 1000, 'it is not between 1s and 1h'),
    ),
  ),
});

/** Whether a file of secrets has the address of keys, and not keys. */
export const looksLikeAddress = (text: string): boolean => /^\s*\{/.test(text) && /"jwks"\s*:/.test(text);

/** Reads `{"jwks": "https://…", "ca": "FILE", "interval": "5m"}`. */
export function parseJwksAddress(text: string): Parsed<JwksAddress> {
  const read = parseEntry(text, schema, 'an address of keys');
  if (!read.ok) return read;
  const { jwks, ca, interval } = read.value;
  return accepted({ url: jwks, ca, intervalMs: interval });
}
