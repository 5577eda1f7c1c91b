import type { MiddlewareHandler } from 'hono';
import { type Address, isLoopback, parseHost } from '../model/address.ts';
import type { AdminToken } from './token.ts';

/** As what the admin port may be asked. */
export type HostRules = {
  readonly address: Address;
  /** This machine's own name. */
  readonly hostname: string;
  /** Names that an operator allows; `*.example.org` is every name below it. */
  readonly allowed: readonly string[];
};

/**
 * Whether a Host header names a host that this port is served as. A page from anywhere can have its own name resolve to this port
 * (DNS rebinding), and would then read what is served here to whoever looks at it; its name stays in the Host header. So does the
 * name of a service whose instance leads here through HAProxy. An IP address is nobody's name; on a loopback address it has to be
 * one of loopback.
 */
export function ownHost({ address, hostname, allowed }: HostRules): (header: string | undefined) => boolean {
  const names = new Set(['localhost', hostname, address.family === 'name' ? address.host : '', ...allowed].map(lower));
  return (header) => {
    if (header === undefined) return true;
    const match = /^(\[[^\]]*\]|[^:]*)(?::[0-9]{1,5})?$/.exec(header);
    const host = match === null ? undefined : parseHost(match[1] ?? '');
    if (host?.ok !== true) return false;
    if (host.value.family !== 'name') return !isLoopback(address) || isLoopback(host.value);
    const name = host.value.host;
    return names.has(name) || [...parents(name)].some((parent) => names.has(`*.${parent}`));
  };
}

/** The answer to requests for other hosts, with 421. */
export const foreignHost = 'this host name is not allowed for the admin port; allow it with --admin-hosts\n';

/** Refuses requests for a host that this port is not served as. */
export function onlyOwnHosts(rules: HostRules): MiddlewareHandler {
  const isOwn = ownHost(rules);
  return async (c, next) => (isOwn(c.req.header('host')) ? next() : c.text(foreignHost, 421));
}

const lower = (text: string): string => text.toLowerCase();

function* parents(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1);
}

/** The methods that change nothing. */
export const reading = ['GET', 'HEAD'];

/** Lets reading pass; whatever may change something needs the token. */
export function readOnlyWithout(token: AdminToken | undefined): MiddlewareHandler {
  return async (c, next) => {
    if (reading.includes(c.req.method)) return next();
    if (c.req.method === 'OPTIONS') return c.body(null, 204, { Allow: reading.join(', ') });
    if (token === undefined) {
      return c.text('this port is read-only; start the balancer with --admin-token-file to allow actions\n', 405, {
        Allow: reading.join(', '),
      });
    }
    if (await token.isGiven(c.req.header('authorization'))) return next();
    return c.text('the token is missing or wrong: send Authorization: Bearer TOKEN\n', 401, {
      'WWW-Authenticate': 'Bearer',
    });
  };
}

/** The headers that limit what a browser does with our answers: no other content type, no frame, no cache. */
export const harmlessHeaders: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

/** Adds these headers where an answer has no others. */
export function harmlessAnswers(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(harmlessHeaders)) {
      if (!c.res.headers.has(name)) c.res.headers.set(name, value);
    }
  };
}
