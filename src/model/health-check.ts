import { parseHost, parsePort, quoteAddress } from './address.ts';
import { accepted, type Parsed, quote, rejected } from './parsed.ts';

/** How an application is asked whether it is well. A host or port that is left out is that of the announced address. */
export type HealthCheck =
  | { readonly kind: 'none' }
  /** Well while it accepts connections. */
  | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number | undefined }
  /** Well while it answers with a status of 200 to 399. */
  | {
      readonly kind: 'http';
      readonly tls: 'none' | 'verified' | 'unverified';
      readonly host: string | undefined;
      readonly port: number | undefined;
      readonly path: string;
    }
  /** Well while this ends with exit code 0; run by /bin/sh. */
  | { readonly kind: 'command'; readonly line: string };

/** How often to ask, and how often in a row the answer must differ before it counts. */
export type CheckRhythm = {
  /** From the start of one check to the start of the next, in ms. */
  readonly intervalMs: number;
  /** A check that takes longer has failed, in ms. */
  readonly timeoutMs: number;
  /** Passed checks in a row that make it healthy. */
  readonly rise: number;
  /** Failed checks in a row that make it unhealthy. */
  readonly fall: number;
};

const tlsOf = { http: 'none', https: 'verified', 'https+insecure': 'unverified' } as const;
const forms = 'none, tcp, tcp://[HOST]:PORT, http://[HOST][:PORT]/PATH, https://…, https+insecure://… or cmd:COMMAND';
const url = /^(tcp|http|https|https\+insecure):\/\/([^/?#]*)(.*)$/s;
const authority = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/;

/** Reads `none`, `tcp`, `tcp://:8080`, `http://:8080/health`, `https://…`, `https+insecure://…` or `cmd:curl -f …`. */
export function parseHealthCheck(text: string): Parsed<HealthCheck> {
  if (text === 'none') return accepted({ kind: 'none' });
  if (text === 'tcp') return accepted({ kind: 'tcp', host: undefined, port: undefined });
  if (text.startsWith('cmd:')) {
    const line = text.slice('cmd:'.length).trim();
    return line === '' || line.includes('\0')
      ? rejected('a command is missing after cmd:')
      : accepted({ kind: 'command', line });
  }
  const [, scheme, place = '', path = ''] = url.exec(text) ?? [];
  if (scheme === undefined) return rejected(`${quote(text)} is not a health check: use one of ${forms}`);
  const target = parsePlace(place);
  if (!target.ok) return target;
  if (scheme === 'tcp') {
    if (path !== '') return rejected(`${quote(path)} follows the port: a tcp check has no path`);
    return accepted({ kind: 'tcp', ...target.value });
  }
  if (!/^(\/[\x21-\x7e]*)?$/.test(path) || path.includes('#')) {
    return rejected(`${quote(path)} is not a path: a / and then printable ASCII without spaces`);
  }
  const tls = tlsOf[scheme as keyof typeof tlsOf];
  return accepted({ kind: 'http', tls, ...target.value, path: path === '' ? '/' : path });
}

function parsePlace(text: string): Parsed<{ host: string | undefined; port: number | undefined }> {
  const [, hostText, portText] = authority.exec(text) ?? [];
  if (hostText === undefined) return rejected(`${quoteAddress(text)} is not host:port`);
  const host = hostText === '' ? undefined : parseHost(hostText);
  if (host?.ok === false) return host;
  const port = portText === undefined ? undefined : parsePort(portText);
  if (port?.ok === false) return port;
  return accepted({ host: host?.value.host, port: port?.value });
}
