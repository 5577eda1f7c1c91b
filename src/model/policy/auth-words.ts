import { type HeaderName, parseHeaderName } from '../header.ts';
import { type Parsed, quote, rejected } from '../parsed.ts';
import { parsedText } from './field.ts';
import { parseChangeable } from './headers.ts';

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
