import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseInstance } from '../../model/instance.ts';
import { parseInstanceId, parseServiceName } from '../../model/name.ts';
import type { Parsed } from '../../model/parsed.ts';
import { knownLayouts } from './known-layouts.ts';
import { compileLayout, type Layout, type LayoutDeclaration } from './layout.ts';

function must<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

/** What an entry means, short: `web/web-1 10.0.0.1:80`, `web/web-1 weighs 3`, `ignored` or `rejected: reason`. */
function meaning(layout: Layout, key: string, value: string): string {
  const mapped = layout.map(key, value);
  if (mapped.kind === 'ignored') return 'ignored';
  if (mapped.kind === 'rejected') return `rejected: ${mapped.reason}`;
  const [, service = '', id = ''] = mapped.key.split('/');
  if (mapped.kind === 'weight') return `${service}/${id} weighs ${mapped.weight}`;
  const instance = must(parseInstance(must(parseServiceName(service)), must(parseInstanceId(id)), mapped.value));
  const { host, port } = instance.address;
  const more = Object.entries({
    weight: mapped.weight ?? instance.weight,
    version: instance.version,
    zone: instance.zone,
    ...instance.meta,
  });
  const shown = more.filter(([name, text]) => text !== undefined && !(name === 'weight' && text === 100));
  return [`${service}/${id} ${host}:${port}`, ...shown.map(([name, text]) => `${name}=${text}`)].join(' ');
}

const compile = (declaration: LayoutDeclaration) => must(compileLayout(declaration));

describe('the known layouts', () => {
  const cases: Record<keyof typeof knownLayouts, readonly [key: string, value: string, means: string | RegExp][]> = {
    plain: [
      ['web/web-1', '10.0.0.1:80', 'web/web-1 10.0.0.1:80'],
      ['web/web-1', ' 10.0.0.1:80\n', 'web/web-1 10.0.0.1:80'],
      ['web/v6', '[2001:db8::1]:80', 'web/v6 2001:db8::1:80'],
      ['web/web-1', '10.0.0.1', /^rejected: .*not host:port/],
      ['web/web-1', '10.0.0.1:80;quit', /^rejected/],
      ['web', '10.0.0.1:80', /^rejected: it matches neither a keyPattern/],
      ['web/a/b', '10.0.0.1:80', /^rejected: it matches neither a keyPattern/],
      ['we b/a', '10.0.0.1:80', /^rejected: .*not a service name/],
      ['web/a\nb', '10.0.0.1:80', /^rejected: .*not an instance id/],
    ],
    registrator: [
      ['web-80/docker-1:web_1:80', '192.168.1.102:32768', 'web-80/docker-1:web_1:80 192.168.1.102:32768'],
      ['dns-53/docker-1:dns:53:udp', '192.168.1.102:53', 'ignored'],
    ],
    skydns: [
      ['web/x1', '{"host":"10.0.0.1","port":8080,"priority":10,"ttl":60}', 'web/x1 10.0.0.1:8080'],
      ['web', '{"host":"10.0.0.1","port":"8080"}', 'web/web 10.0.0.1:8080'],
      ['web/x1', '{"host":"10.0.0.1"}', /^rejected: .*not host:port/],
      ['web/x1', '{"host":"10.0.0.1","port":80,"weight":120}', 'web/x1 10.0.0.1:80 weight=120'],
      ['web/x1', '{"host":"10.0.0.1","port":80,"weight":1000}', 'web/x1 10.0.0.1:80 weight=1000'],
      ['web/x1', '{"host":"10.0.0.1","port":80,"weight":0}', 'web/x1 10.0.0.1:80'],
      ['web/x1', '{"host":"10.0.0.1","port":80,"weight":-1}', /^rejected: weight "-1" is not a whole number/],
      ['web/x1', '{"text":"hello"}', 'ignored'],
      ['web/x1', '{"host":"mx.example.org","mail":true}', /^rejected: .*not host:port/],
      ['dns/ns/ns1', '{"host":"10.0.0.53"}', 'ignored'],
    ],
    traefik: [
      ['http/services/web/loadbalancer/servers/0/url', 'http://10.0.0.1:8080/', 'web/0 10.0.0.1:8080 scheme=http'],
      [
        'http/services/web/loadbalancer/servers/1/url',
        'https://shop.example.com',
        'web/1 shop.example.com:443 scheme=https',
      ],
      ['http/services/web/loadbalancer/servers/2/url', 'h2c://[::1]:9000', 'web/2 ::1:9000 scheme=h2c'],
      ['http/services/web/loadbalancer/servers/3/url', 'ftp://10.0.0.1:21', /^rejected: .*not an http/],
      ['http/services/web/loadbalancer/servers/3/url', 'http://user:secret@10.0.0.1', /^rejected: a URL with a user/],
      ['http/services/web/loadbalancer/servers/3/url', '10.0.0.1:80', /^rejected: .*not a/],
      // As Traefik's own pkg/provider/kv/kv_test.go writes them.
      ['http/services/Service01/loadBalancer/servers/0/url', 'http://10.0.0.1', 'Service01/0 10.0.0.1:80 scheme=http'],
      ['HTTP/Services/web/LoadBalancer/Servers/0/URL', 'http://10.0.0.1', 'web/0 10.0.0.1:80 scheme=http'],
      ['http/services/web/loadBalancer/servers/0/weight', '3', 'web/0 weighs 3'],
      ['http/services/web/loadbalancer/servers/0/weight', '1000', 'web/0 weighs 1000'],
      ['http/services/web/loadbalancer/servers/0/weight', '-1', /^rejected: weight "-1" is not a whole number/],
      ['http/services/web/loadbalancer/servers/0/preservePath', 'true', 'ignored'],
      ['http/services/Service01/loadBalancer/healthCheck/headers/name0', 'foobar', 'ignored'],
      ['http/services/Service01/loadBalancer/passHostHeader', 'true', 'ignored'],
      ['http/services/Service01/loadBalancer/responseForwarding/flushInterval', '1s', 'ignored'],
      ['http/services/Service01/loadBalancer/sticky/cookie/httpOnly', 'true', 'ignored'],
      ['http/services/Service01/loadBalancer/sticky', 'true', 'ignored'],
      ['http/services/Service01/loadBalancer/strategy', 'wrr', 'ignored'],
      ['http/services/Service02/mirroring/mirrors/0/percent', '42', 'ignored'],
      ['http/services/Service03/weighted/sticky/cookie/name', 'foobar', 'ignored'],
      ['http/services/Service04/failover/fallback', 'foobar', 'ignored'],
      ['http/routers/Router0/entryPoints/0', 'foobar', 'ignored'],
      ['http/serversTransports/name0/serverName', 'foobar', 'ignored'],
      ['tcp/services/TCPService01/loadBalancer/servers/0/address', '10.0.0.1:80', 'ignored'],
      ['tls/stores/Store0/defaultCertificate/certFile', 'foobar', 'ignored'],
      ['http/services/web/loadbalancer/servers/0/addr', '10.0.0.1:80', /^rejected: it matches neither a keyPattern/],
      ['http/routers/web/rule', 'Host(`web`)', 'ignored'],
    ],
    grpc: [
      ['web/10.0.0.1:80', '{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}', 'web/10.0.0.1:80 10.0.0.1:80'],
      ['web/e1', '{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"zone":"a"}}', 'web/e1 10.0.0.1:80'],
      ['web/e1', '{"Op":0,"Addr":"","Metadata":{"a":1}}', 'ignored'],
      ['web/e1', 'not JSON', /^rejected: it is not JSON/],
    ],
  };

  for (const [name, entries] of Object.entries(cases)) {
    const layout = compile(knownLayouts[name as keyof typeof knownLayouts]);
    test.each(entries)(`${name}: %j = %j`, (key, value, means) => {
      if (typeof means === 'string') expect(meaning(layout, key, value)).toBe(means);
      else expect(meaning(layout, key, value)).toMatch(means);
    });
  }
});

describe('a declared layout', () => {
  test('reads nested fields, and text where a number is meant', () => {
    const layout = compile({
      prefix: '/apps/',
      keyPattern: 'v1/{id}.{service}/node',
      codec: 'json',
      fields: { address: 'net.ip', port: 'net.port', weight: 'w', version: 'labels.version', zone: 'labels.zone' },
    });
    const value = '{"net":{"ip":"10.0.0.1","port":"80"},"w":"7","labels":{"version":"v2","zone":"b"}}';
    expect(meaning(layout, 'v1/one.web/node', value)).toBe('web/one 10.0.0.1:80 weight=7 version=v2 zone=b');
    expect(meaning(layout, 'v1/one.web/node', '{"net":"10.0.0.1"}')).toMatch(/^rejected: address is missing/);
    expect(meaning(layout, 'v1/one.web/node', '{"net":{"ip":"10.0.0.1","port":80},"w":300}')).toMatch(
      /^rejected: weight/,
    );
  });

  test('may name the one service of all its keys', () => {
    const layout = compile({ prefix: '/app/upstream/', keyPattern: '{id}', codec: 'hostport', service: 'app' });
    expect(meaning(layout, 'one', '10.0.0.1:80')).toBe('app/one 10.0.0.1:80');
  });

  const good = { prefix: '/a/', keyPattern: '{service}/{id}', codec: 'hostport' };
  test.each([
    [{ ...good, keyPattern: '{name}/{id}' }, 'keyPattern: "{name}/{id}": "{name}" is neither {service} nor {id}'],
    [
      { ...good, keyPattern: '{service}{id}' },
      'keyPattern: "{service}{id}": put a character between "{id}" and the part before it',
    ],
    [{ ...good, keyPattern: '{service}/{service}' }, 'keyPattern: "{service}/{service}": {service} occurs twice'],
    [{ ...good, keyPattern: '{id}' }, 'keyPattern: it has no {service}, so set the field "service"'],
    [{ ...good, service: 'web' }, 'service: the keyPattern has {service} already'],
    [{ ...good, codec: 'json' }, 'fields.address: it is missing, and codec json needs the field of the address'],
    [{ ...good, fields: { address: 'a' } }, 'fields: only codec json has fields, not hostport'],
    [{ ...good, requires: 'a' }, 'requires: only codec json has fields, not hostport'],
    [
      { ...good, weights: ['{service}/{id}/w'] },
      'relativeWeights: give the weight of an instance without one, as in { unset: 1 }',
    ],
    [{ ...good, ignore: ['{id}'] }, 'ignore: a pattern cannot have {service} or {id}'],
    [{ ...good, ignored: [] }, /^ignored: /],
    [{ ...good, codec: 'xml' }, /^codec: /],
    ['text', /^layout: /],
  ])('is refused with the reason: %j', (declaration, reason) => {
    const compiled = compileLayout(declaration);
    expect(compiled.ok).toBe(false);
    if (compiled.ok) return;
    if (typeof reason === 'string') expect(compiled.reason).toBe(reason);
    else expect(compiled.reason).toMatch(reason);
  });

  test('takes characters of a regular expression literally', () => {
    const layout = compile({
      prefix: '/a/',
      keyPattern: 'a.b+(c)[d]$/{service}|{id}',
      codec: 'hostport',
      ignore: ['x?/*.tmp'],
    });
    expect(meaning(layout, 'a.b+(c)[d]$/web|one', '10.0.0.1:80')).toBe('web/one 10.0.0.1:80');
    expect(meaning(layout, 'aXb+(c)[d]$/web|one', '10.0.0.1:80')).toMatch(/^rejected/);
    expect(meaning(layout, 'x?/y.tmp', '')).toBe('ignored');
    expect(meaning(layout, 'x?/y/z.tmp', '')).toMatch(/^rejected/);
  });

  test('rejects what no value can be, whatever the bytes', () => {
    const layouts = Object.values(knownLayouts).map(compile);
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        fc.constantFrom(...layouts),
        (key, value, layout) => {
          const mapped = layout.map(key, value);
          if (mapped.kind === 'instance') expect(mapped.key).toMatch(/^instances\/[A-Za-z0-9._-]+\/[A-Za-z0-9._:-]+$/);
        },
      ),
    );
  });
});
