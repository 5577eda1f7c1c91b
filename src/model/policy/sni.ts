import * as v from 'valibot';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import { type HostPattern, isDnsPattern } from '../route.ts';
import { parsedText } from './field.ts';

/** The connections of a shared port that a `tcp` service gets: those that ask for one of the names and offer one of the protocols. */
export type Sni = {
  /** `db.example.com`, `*.example.com`, or `*` for any other name and for none. */
  readonly names: readonly HostPattern[];
  /** The protocol that a client offers first (ALPN); empty: any. */
  readonly protocols: readonly string[];
};

const mostNames = 64;
const mostProtocols = 8;

// The characters of the registered ids that are text. The map has them as a part of a path.
const protocol = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,31}$/;

function parseProtocol(text: string): Parsed<string> {
  return protocol.test(text)
    ? accepted(text)
    : rejected(`${quote(text)} is not a protocol of ALPN: 1 to 32 of A-Z a-z 0-9 . _ / -, as in "h2" or "acme-tls/1"`);
}

function parseName(text: string): Parsed<HostPattern> {
  return isDnsPattern(text)
    ? accepted(text as HostPattern)
    : rejected(`${quote(text)} is not a name in TLS: lower case "db.example.com", "*.example.com" or "*"`);
}

export const sniFields = {
  sni: v.optional(v.pipe(v.array(parsedText(parseName)), v.minLength(1), v.maxLength(mostNames))),
  alpn: v.optional(v.pipe(v.array(parsedText(parseProtocol)), v.minLength(1), v.maxLength(mostProtocols))),
};

type GivenSni = { readonly sni?: readonly HostPattern[] | undefined; readonly alpn?: readonly string[] | undefined };

export function readSni({ sni, alpn }: GivenSni): Parsed<Sni | undefined> {
  if (sni !== undefined) return accepted({ names: [...new Set(sni)], protocols: [...new Set(alpn ?? [])] });
  return alpn === undefined
    ? accepted(undefined)
    : rejected('alpn: it needs sni, because only services with sni share a port');
}
