import * as v from 'valibot';
import { parseHost } from '../address.ts';
import { parseLabel } from '../instance.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from '../parsed.ts';
import { duration, parsedText, whole } from './field.ts';

/** The path that a check asks for; it may have a query. */
type CheckPath = Brand<string, 'CheckPath'>;

/** One line of text that has to be in an answer. */
type CheckText = Brand<string, 'CheckText'>;

type Rhythm = {
  readonly intervalMs: number;
  /** For the whole check; undefined is the interval. */
  readonly timeoutMs: number | undefined;
  /** Passed checks in a row after which a server is up. */
  readonly rise: number;
  /** Failed checks in a row after which it is down. */
  readonly fall: number;
  /** Where it is asked, when not where it serves. There it is asked without TLS, h2 or PROXY protocol. */
  readonly port: number | undefined;
};

/** How HAProxy asks a server whether it works. */
export type ServerCheck =
  | { readonly kind: 'none' }
  /** It takes a connection. */
  | (Rhythm & { readonly kind: 'tcp' })
  /** It answers a request as expected. */
  | (Rhythm & {
      readonly kind: 'http';
      readonly method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST';
      readonly path: CheckPath;
      /** The service's name if undefined. */
      readonly host: string | undefined;
      /** Empty: 200 to 399. */
      readonly status: readonly StatusRange[];
      readonly body: CheckText | undefined;
    })
  /** It says SERVING, by gRPC's health checking protocol. */
  | (Rhythm & { readonly kind: 'grpc'; readonly service: string | undefined });

export const defaultCheck: ServerCheck = {
  kind: 'tcp',
  intervalMs: 2000,
  timeoutMs: undefined,
  rise: 1,
  fall: 3,
  port: undefined,
};

function parseCheckPath(text: string): Parsed<CheckPath> {
  return /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,510}$/.test(text)
    ? accepted(text as CheckPath)
    : rejected(`it is not a path: "/" and then at most 510 characters of a URL`);
}

function parseCheckText(text: string): Parsed<CheckText> {
  return /^[\x20-\x7e]{1,200}$/.test(text)
    ? accepted(text as CheckText)
    : rejected(`it is not 1 to 200 printable ASCII characters`);
}

function parseCheckHost(text: string): Parsed<string> {
  const host = parseHost(text);
  return host.ok ? accepted(host.value.host) : host;
}

const rhythm = {
  interval: v.optional(duration, '2s'),
  timeout: v.optional(duration),
  rise: v.optional(whole(1, 100), 1),
  fall: v.optional(whole(1, 100), 3),
  port: v.optional(whole(1, 65535)),
};

const statuses = v.pipe(v.array(parsedText(parseStatusRange)), v.minLength(1), v.maxLength(16));

const schema = v.variant('kind', [
  v.strictObject({ kind: v.literal('none') }),
  v.strictObject({ kind: v.literal('tcp'), ...rhythm }),
  v.strictObject({
    kind: v.literal('http'),
    method: v.optional(v.picklist(['GET', 'HEAD', 'OPTIONS', 'POST']), 'GET'),
    path: v.optional(parsedText(parseCheckPath), '/'),
    host: v.optional(parsedText(parseCheckHost)),
    status: v.optional(statuses),
    body: v.optional(parsedText(parseCheckText)),
    ...rhythm,
  }),
  v.strictObject({ kind: v.literal('grpc'), service: v.optional(parsedText(parseLabel)), ...rhythm }),
]);

export const checkField = v.pipe(schema, v.transform(readCheck));

function readCheck(check: v.InferOutput<typeof schema>): ServerCheck {
  if (check.kind === 'none') return { kind: 'none' };
  const { interval: intervalMs, timeout: timeoutMs, rise, fall, port } = check;
  const often: Rhythm = { intervalMs, timeoutMs, rise, fall, port };
  switch (check.kind) {
    case 'tcp':
      return { kind: 'tcp', ...often };
    case 'http': {
      const { method, path, host, status = [], body } = check;
      return { kind: 'http', ...often, method, path, host, status, body };
    }
    case 'grpc':
      return { kind: 'grpc', ...often, service: check.service };
  }
}

/** HTTP status codes that count as good: `200-399`. Both ends are in it. */
export type StatusRange = { readonly least: number; readonly most: number };

/** Reads one status, `204`, or a range, `200-399`; from 100 to 599. */
export function parseStatusRange(text: string): Parsed<StatusRange> {
  const match = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/.exec(text);
  const least = Number(match?.[1]);
  const most = Number(match?.[2] ?? match?.[1]);
  return match !== null && least <= most
    ? accepted({ least, most })
    : rejected(`${quote(text)} is not a status or a range of them: 204, 200-399`);
}

/** As HAProxy's `http-check expect status` takes it, and `parseStatusRange` reads it back. */
export function formatStatusRange({ least, most }: StatusRange): string {
  return least === most ? String(least) : `${least}-${most}`;
}
