import * as v from 'valibot';
import { parseHost } from '../address.ts';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import { parsedText, parsing, whole } from './field.ts';
import { type PathChange, pathChangeFields, readPathChange } from './rewrite.ts';

/** Requests whose address is another one than it should be are answered with the right one. */
export type Redirect = {
  readonly status: 301 | 302 | 303 | 307 | 308;
  /** The host that clients should use; undefined: the one that they use. */
  readonly host: string | undefined;
  /** The port of `host`; undefined: that of the scheme. */
  readonly port: number | undefined;
  readonly path: PathChange | undefined;
  /** Whether paths end with a slash; undefined: as they are. */
  readonly trailingSlash: 'add' | 'remove' | undefined;
};

function parseRedirectHost(text: string): Parsed<string> {
  const host = parseHost(text);
  return host.ok && host.value.host === text && host.value.family === 'name'
    ? accepted(text)
    : rejected(`${quote(text)} is not a host: lower case, such as "www.example.com"`);
}

const given = v.strictObject({
  status: v.optional(v.picklist([301, 302, 303, 307, 308])),
  host: v.optional(parsedText(parseRedirectHost)),
  port: v.optional(whole(1, 65_535)),
  ...pathChangeFields,
  trailingSlash: v.optional(v.picklist(['add', 'remove'])),
});

type Given = v.InferOutput<typeof given>;

export const redirectField = parsing<Given, Redirect>(
  given as unknown as v.GenericSchema<Given, Given>,
  ({ status = 308, host, port, from, regex, to, trailingSlash }) => {
    const changesPath = from !== undefined || regex !== undefined || to !== undefined;
    if (!changesPath && host === undefined && trailingSlash === undefined) {
      return rejected('it needs one of "host", "to" and "trailingSlash"');
    }
    if (port !== undefined && host === undefined) return rejected('port: it needs a "host"');
    if (
      from !== undefined &&
      to !== undefined &&
      host === undefined &&
      `${to}/`.startsWith(`${from.replace(/\/$/, '')}/`)
    ) {
      return rejected(`to: ${quote(to)} begins with ${quote(from)}, so clients would be redirected again and again`);
    }
    const path = changesPath ? readPathChange({ from, regex, to }) : accepted(undefined);
    return path.ok ? accepted({ status, host, port, path: path.value, trailingSlash }) : path;
  },
);
