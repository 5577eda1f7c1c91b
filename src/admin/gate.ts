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
 * Refuses requests for a host that this port is not served as. A page from anywhere can have its own name resolve to this port
 * (DNS rebinding), and would then read what is served here to whoever looks at it; its name stays in the Host header. So does the
 * name of a service whose instance leads here through HAProxy. An IP address is nobody's name; on a loopback address it has to be
 * one of loopback.
 */
export function onlyOwnHosts({ address, hostname, allowed }: HostRules): MiddlewareHandler {
  const names = new Set(['localhost', hostname, address.family === 'name' ? address.host : '', ...allowed].map(lower));
  const isOwn = (text: string): boolean => {
    const match = /^(\[[^\]]*\]|[^:]*)(?::[0-9]{1,5})?$/.exec(text);
    const host = match === null ? undefined : parseHost(match[1] ?? '');
    if (host?.ok !== true) return false;
    if (host.value.family !== 'name') return !isLoopback(address) || isLoopback(host.value);
    const name = host.value.host;
    return names.has(name) || [...parents(name)].some((parent) => names.has(`*.${parent}`));
  };
  return async (c, next) => {
    const host = c.req.header('host');
    if (host === undefined || isOwn(host)) return next();
    return c.text('this host name is not allowed for the admin port; allow it with --admin-hosts\n', 421);
  };
}

const lower = (text: string): string => text.toLowerCase();

function* parents(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1);
}

const reading = ['GET', 'HEAD'];

/** Lets reading pass, and nothing else. `why` is the answer to other requests. */
export function readOnly(why = 'this port is read-only\n'): MiddlewareHandler {
  return async (c, next) => {
    if (reading.includes(c.req.method)) return next();
    const headers = { Allow: reading.join(', ') };
    return c.req.method === 'OPTIONS' ? c.body(null, 204, headers) : c.text(why, 405, headers);
  };
}

/** Lets reading pass; whatever may change something needs the token. */
export function readOnlyWithout(token: AdminToken | undefined): MiddlewareHandler {
  if (token === undefined) {
    return readOnly('this port is read-only; start the balancer with --admin-token-file to allow actions\n');
  }
  return async (c, next) => {
    if (reading.includes(c.req.method)) return next();
    if (c.req.method === 'OPTIONS') return c.body(null, 204, { Allow: reading.join(', ') });
    if (await token.isGiven(c.req.header('authorization'))) return next();
    return c.text('the token is missing or wrong: send Authorization: Bearer TOKEN\n', 401, {
      'WWW-Authenticate': 'Bearer',
    });
  };
}

/** The headers that limit what a browser does with our answers: no other content type, no frame, no cache. */
export function harmlessAnswers(): MiddlewareHandler {
  const headers = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
  };
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(headers)) if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  };
}
