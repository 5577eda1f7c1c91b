import { describe, expect, test } from 'vitest';
import { parsePolicy } from './policy.ts';

const reasonFor = (policy: object): string => {
  const parsed = parsePolicy(JSON.stringify(policy));
  return parsed.ok ? 'accepted' : parsed.reason;
};

describe('a policy is refused with the field and the reason', () => {
  test.each<[object, string]>([
    [{ mode: 'tcp' }, 'port: it is missing, and a tcp service needs its own port'],
    [{ port: 80 }, 'port: only a tcp service has a port; http services share one'],
    [{ mode: 'tcp', port: 5432, hosts: ['a'] }, 'hosts: only an http service can have this field'],
    [{ mode: 'tcp', port: 5432, retries: { on: ['503'] } }, 'retries.on: only an http service can have this field'],
    [{ mode: 'udp', port: 53 }, 'mode: HAProxy cannot balance UDP; use IPVS (keepalived)'],
    [{ sni: ['a.example'] }, 'sni: only a tcp service can have this field'],
    [{ alpn: ['h2'] }, 'alpn: only a tcp service can have this field'],
    [{ mode: 'tcp', port: 443, alpn: ['h2'] }, 'alpn: it needs sni'],
    [{ mode: 'tcp', port: 443, sni: ['a', 'B.example'] }, 'sni.1: "B.example" is not a name in TLS'],
    [{ mode: 'tcp', port: 443, sni: ['10.0.0.1'] }, 'sni.0: "10.0.0.1" is not a name in TLS'],
    [{ mode: 'tcp', port: 443, sni: ['shop.*'] }, 'sni.0: "shop.*" is not a name in TLS'],
    [{ mode: 'tcp', port: 443, sni: ['a'], alpn: ['h 2'] }, 'alpn.0: "h 2" is not a protocol of ALPN'],
    [{ mode: 'tcp', port: 443, sni: ['a'], timeouts: { client: '5s' } }, 'timeouts.client: a service with sni'],
    [{ routes: [] }, 'routes: Invalid length: Expected >=1 but received 0'],
    [{ routes: [{ host: 'a' }] }, '"routes.0.host" is not a field of a policy'],
    [{ routes: [{}], hosts: ['a'] }, 'hosts: a policy with routes sets it in each route'],
    [{ paths: ['/1/2/3/4/5/6/7/8/9'], strip: true }, 'strip: "/1/2/3/4/5/6/7/8/9" has more than 8 segments'],
    [{ priority: 1001 }, 'priority: it is not a whole number from -1000 to 1000'],
    [{ https: 'always' }, 'https: expected ('],
    [{ https: 'auto' }, 'https: expected ("optional" | "redirect"), not "auto"; to ask for certificates, write {"cert'],
    [{ https: 5 }, 'https: expected ("optional" | "redirect"), not 5; to ask for certificates, write {"cert'],
    [{ https: { redirect: 0 } }, 'https.redirect: it is not a whole number from 1 to 65535'],
    [{ access: { allow: [] } }, 'access.allow: Invalid length: Expected >=1 but received 0'],
    [
      { access: { deny: ['10.0.0.1/8'] } },
      'access.deny.0: "10.0.0.1/8" has host bits set: clear all bits after the prefix',
    ],
    [{ rateLimit: { requests: 5 } }, 'rateLimit.per: it is missing'],
    [{ rateLimit: { requests: 5, per: '500ms' } }, 'rateLimit.per: it is not between 1s and 1h'],
    [{ rateLimit: { requests: 5, per: '1s', by: 'host' } }, 'rateLimit.by: expected ('],
    [{ rateLimit: { requests: 5, per: '1s', by: { header: 'a b' } } }, 'rateLimit.by.header: "a b" is not a header'],
    [{ rateLimit: { requests: 5, per: '1s', by: { cookie: 'a;b' } } }, 'rateLimit.by.cookie: "a;b" is not a cookie'],
    [{ rateLimit: { requests: 5, per: '1s', scope: 'all' } }, 'rateLimit.scope: expected ('],
    [
      { mode: 'tcp', port: 5432, rateLimit: { requests: 5, per: '1s', by: 'path' } },
      'rateLimit.by: a tcp service counts by client only',
    ],
    [{ limits: { body: '10MB' } }, 'limits.body: "10MB" is not a size below 2g'],
    [{ limits: { body: '0' } }, 'limits.body: it is not 1 byte or more'],
    [{ limits: { headers: '16k' } }, 'limits.headers: it is not between 1k and 15k'],
    [{ limits: { requests: 0 } }, 'limits.requests: it is not a whole number from 1 to 1000000'],
    [{ mode: 'tcp', port: 5432, limits: { body: '1k' } }, 'limits.body: only an http service can have this field'],
    [
      { headers: { request: { remove: ['Authorization: Bearer SECRET'] } } },
      'headers.request.remove.0: "Authorization..." is not a header name',
    ],
    [{ headers: { request: { set: { 'a b': 'c' } } } }, 'headers.request.set: "a b" is not a header name'],
    [
      { headers: { request: { set: { a: 'c\n' } } } },
      'headers.request.set.a: it is not a header value: character 2 (U+000A)',
    ],
    [{ headers: { request: { set: { a: '' } } } }, 'headers.request.set.a: it is empty: remove the header'],
    [
      { headers: { response: { remove: ['Content-Length'] } } },
      'headers.response.remove.0: "Content-Length" is a header that only HAProxy sets',
    ],
    [{ compression: { types: ['*'] } }, 'compression.types.0: "*" is not a media type'],
    [{ timeouts: { server: '10ms' } }, 'timeouts.server: it is not between 1s and 7d'],
    [{ timeouts: { idle: '10s' } }, '"timeouts.idle" is not a field of a policy'],
    [{ retries: { count: 11 } }, 'retries.count: it is not a whole number from 0 to 10'],
    [{ retries: { on: ['429'] } }, 'retries.on.0: expected ('],
    [{ balance: 'hash' }, 'balance: expected ('],
    [{ balance: { header: 'X User' } }, 'balance.header: "X User" is not a header name'],
    [{ balance: {} }, 'balance.header: it is missing'],
    [{ mode: 'tcp', port: 5432, balance: 'path' }, 'balance: a tcp service cannot balance by path or header'],
    [{ sticky: { cookie: 'a;b' } }, 'sticky.cookie: "a;b" is not a cookie name'],
    [{ sticky: {} }, 'sticky.cookie: it is missing'],
    [{ sticky: { cookie: 'V', to: 'version', key: 'k' } }, 'sticky: only a cookie that leads to a server has a key'],
    [{ check: { kind: 'none', interval: '1s' } }, '"check.interval" is not a field of a policy'],
    [{ check: { kind: 'http', path: '/a b' } }, 'check.path: it is not a path'],
    [{ check: { kind: 'http', status: ['600'] } }, 'check.status.0: "600" is not a status or a range of them'],
    [{ check: { kind: 'http', body: 'a\n' } }, 'check.body: it is not 1 to 200 printable ASCII characters'],
    [{ check: { kind: 'grpc', service: 'a b' } }, 'check.service: "a b" is not 1 to 63'],
    [{ slowStart: '2h' }, 'slowStart: it is not between 50ms and 1h'],
    [{ maxconn: 0 }, 'maxconn: it is not a whole number from 1 to 1000000'],
    [{ protocol: 'h3' }, 'protocol: expected ('],
    [{ tls: { ca: '../ca.pem' } }, 'tls.ca: "../ca.pem" is not a file\'s name'],
    [{ tls: { verify: false, ca: 'ca.pem' } }, 'tls: ca has no effect with "verify": false'],
    [{ tls: { name: '10.0.0.1' } }, 'tls.name: "10.0.0.1" is not a host name'],
    [{ proxyProtocol: true }, 'proxyProtocol: expected ('],
    [{ preferZone: 'eu' }, 'preferZone: expected true or false'],
    [{ hosts: 'shop.test' }, 'hosts: expected a list, not a string'],
    [{ hosts: { a: 1 } }, 'hosts: expected a list, not an object'],
  ])('%j', (policy, reason) => {
    expect(reasonFor(policy)).toContain(reason);
  });
});

test('an empty policy is the default one', () => {
  expect(reasonFor({})).toBe('accepted');
});

test('an ejection has defaults, and needs a health check', () => {
  expect(parsePolicy('{"ejection":{}}')).toMatchObject({
    ok: true,
    value: { ejection: { errors: 5, withinMs: 10_000, forMs: 30_000, most: 0.3 } },
  });
  expect(parsePolicy('{"ejection":{"most":"30"}}')).toMatchObject({ ok: false });
  expect(parsePolicy('{"ejection":{},"check":{"kind":"none"}}')).toMatchObject({
    ok: false,
    reason: 'ejection: it needs a health check, and the check of this policy is none',
  });
});
