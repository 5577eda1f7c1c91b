import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';

/** The name of an HTTP header, `X-Request-Id`. */
export type HeaderName = Brand<string, 'HeaderName'>;

/** The value of an HTTP header. It may hold spaces and quotes, so it needs quoting where it goes into a file. */
export type HeaderValue = Brand<string, 'HeaderValue'>;

/** The name of a cookie. */
export type CookieName = Brand<string, 'CookieName'>;

// RFC 9110 allows ! # $ % & ' * ^ ` | ~ as well; each of them means something in a haproxy.cfg, and none is ever used.
const name = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const cookie = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
// RFC 9110, 5.5: visible characters with single or more spaces or tabs between them. Obsolete text beyond ASCII is not.
const value = /^[\x20-\x7e\t]*$/;

/** A line such as `Authorization: Bearer x` that was taken for a name, without its value: it may be a password. */
const nameIn = (text: string): string => text.replace(/[:=].+$/s, '...');

/** Reads a header's name: 1 to 64 of `A-Za-z0-9_-`, a letter or digit first. */
export function parseHeaderName(text: string): Parsed<HeaderName> {
  return name.test(text)
    ? accepted(text as HeaderName)
    : rejected(`${quote(nameIn(text))} is not a header name: 1 to 64 of A-Z a-z 0-9 _ -, a letter or digit first`);
}

/** Reads a header's value, which may be a password, so that none of it is repeated in the reason: at most 1024 printable ASCII characters, none of them a space at either end. */
export function parseHeaderValue(text: string): Parsed<HeaderValue> {
  if (text.length > 1024) return rejected(`it is not a header value: it has ${text.length} characters, more than 1024`);
  if (/^[ \t]|[ \t]$/.test(text)) return rejected('it is not a header value: it has a space at one end');
  if (value.test(text)) return accepted(text as HeaderValue);
  const at = text.search(/[^\x20-\x7e\t]/);
  const code = (text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return rejected(`it is not a header value: character ${at + 1} (U+${code}) is not printable ASCII`);
}

/** Reads a cookie's name: 1 to 64 of `A-Za-z0-9._-`, no `.` or `-` first. */
export function parseCookieName(text: string): Parsed<CookieName> {
  return cookie.test(text)
    ? accepted(text as CookieName)
    : rejected(`${quote(text)} is not a cookie name: 1 to 64 of A-Z a-z 0-9 . _ -, no . or - first`);
}
