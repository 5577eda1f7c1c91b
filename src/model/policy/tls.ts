import * as v from 'valibot';
import { parseHost } from '../address.ts';
import { type FileName, parseFileName } from '../file-name.ts';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import { parsedText } from './field.ts';

/** TLS to the servers. */
export type Tls = {
  /** Who must have signed a server's certificate; undefined when it is not looked at. */
  readonly authority: { readonly kind: 'system' } | { readonly kind: 'file'; readonly file: FileName } | undefined;
  /** The host that is asked for (SNI) and that a certificate must be for; the service's name if undefined. */
  readonly name: string | undefined;
  /** The client certificate and key that HAProxy shows to the servers, in one file. */
  readonly certificate: FileName | undefined;
};

function parseServerName(text: string): Parsed<string> {
  const host = parseHost(text);
  if (!host.ok) return host;
  return host.value.family === 'name' ? accepted(host.value.host) : rejected(`${quote(text)} is not a host name`);
}

export const tlsField = v.pipe(
  v.strictObject({
    verify: v.optional(v.boolean(), true),
    ca: v.optional(parsedText(parseFileName)),
    name: v.optional(parsedText(parseServerName)),
    certificate: v.optional(parsedText(parseFileName)),
  }),
  v.check(({ verify, ca }) => verify || ca === undefined, 'ca has no effect with "verify": false'),
  v.transform(({ verify, ca, name, certificate }): Tls => {
    const authority = ca === undefined ? ({ kind: 'system' } as const) : ({ kind: 'file', file: ca } as const);
    return { authority: verify ? authority : undefined, name, certificate };
  }),
);
