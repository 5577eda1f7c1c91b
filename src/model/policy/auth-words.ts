import { type HeaderName, parseHeaderName } from '../header.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from '../parsed.ts';
import { parsedText } from './field.ts';
import { parseChangeable } from './headers.ts';

/** The name of a file in the balancer's folder of secrets. */
export type SecretFile = Brand<string, 'SecretFile'>;

/** Reads the name of a file of secrets: 1 to 63 of `A-Za-z0-9._-`, a letter or digit first. */
export function parseSecretFile(text: string): Parsed<SecretFile> {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)
    ? accepted(text as SecretFile)
    : rejected(`${quote(text)} is not a file's name: 1 to 63 of A-Z a-z 0-9 . _ -, a letter or digit first`);
}

function parseIdentityHeader(text: string): Parsed<HeaderName> {
  const name = parseHeaderName(text);
  if (!name.ok) return name;
  if (/^(host|authorization|cookie|content-type)$/i.test(text)) {
    return rejected(`${quote(text)} has a meaning of its own: choose another header, such as X-Forwarded-User`);
  }
  return parseChangeable(text);
}

/** A header that tells the application who asks: HAProxy sets it, and removes the client's own. */
export const identityHeader = parsedText(parseIdentityHeader);
