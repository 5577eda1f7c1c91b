import * as v from 'valibot';
import { type CookieName, parseCookieName } from '../header.ts';
import { parseLabel } from '../instance.ts';
import { accepted, type Parsed, rejected } from '../parsed.ts';
import { parsedText } from './field.ts';

/** A client comes back to the server, or the version, that it had first, by a cookie that HAProxy sets. */
export type Sticky = {
  readonly to: 'server' | 'version';
  readonly cookie: CookieName;
  /** The browser sends it over TLS only. */
  readonly secure: boolean;
  readonly sameSite: 'Lax' | 'Strict' | 'None' | undefined;
  /** Goes into the cookie's value, a hash of the server's address, so that it cannot be guessed. */
  readonly key: string;
};

/** The key is a secret, so the reason repeats none of it. */
function parseKey(text: string): Parsed<string> {
  return parseLabel(text).ok
    ? accepted(text)
    : rejected('it is not 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first');
}

export const stickyField = v.pipe(
  v.strictObject({
    cookie: parsedText(parseCookieName),
    to: v.optional(v.picklist(['server', 'version']), 'server'),
    secure: v.optional(v.boolean(), false),
    sameSite: v.optional(v.picklist(['Lax', 'Strict', 'None'])),
    key: v.optional(parsedText(parseKey)),
  }),
  v.check(({ to, key }) => to === 'server' || key === undefined, 'only a cookie that leads to a server has a key'),
  v.transform(({ key = 'pointsman', ...given }): Sticky => ({ ...given, sameSite: given.sameSite, key })),
);
