import type { MiddlewareHandler } from 'hono';
import type { Address } from '../model/address.ts';
import type { AdminToken } from './token.ts';

/** Whether only this machine reaches the address. */
export function isLoopback({ host, family }: Pick<Address, 'host' | 'family'>): boolean {
  if (family === 'name') return host === 'localhost';
  return family === 'ipv4' ? host.startsWith('127.') : host === '::1';
}

/**
 * Refuses requests for another host than this machine. A page from anywhere can have its own name resolve to 127.0.0.1
 * (DNS rebinding), and would then read what is served here to whoever looks at it; its name stays in the Host header.
 */
export function onlyLocalHosts(): MiddlewareHandler {
  const local = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?$/i;
  return async (c, next) => {
    const host = c.req.header('host');
    if (host === undefined || local.test(host)) return next();
    return c.text('this is served as localhost, 127.0.0.1 and [::1] only\n', 421);
  };
}

const reading = ['GET', 'HEAD'];

/** Lets reading pass; whatever may change something needs the token. */
export function readOnlyWithout(token: AdminToken | undefined): MiddlewareHandler {
  return async (c, next) => {
    if (reading.includes(c.req.method)) return next();
    if (c.req.method === 'OPTIONS') return c.body(null, 204, { Allow: reading.join(', ') });
    if (token === undefined) {
      return c.text('this port only tells; --admin-token-file lets it be asked to do something\n', 405, {
        Allow: reading.join(', '),
      });
    }
    if (await token.isGiven(c.req.header('authorization'))) return next();
    return c.text('it takes the token: Authorization: Bearer TOKEN\n', 401, { 'WWW-Authenticate': 'Bearer' });
  };
}

/** What a browser should make of our answers: nothing but what they are, in nobody's frame, kept nowhere. */
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
