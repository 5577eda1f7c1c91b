import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostileJson, hostileText } from '../../test/support/hostile.ts';
import { formatInstance, parseInstance } from './instance.ts';
import type { InstanceId, ServiceName } from './name.ts';
import { parsePolicy } from './policy.ts';

const read = (value: string) => parseInstance('web' as ServiceName, 'a' as InstanceId, value);
const printable = /^[\x20-\x7e]{3,800}$/;
const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

describe('a registration', () => {
  test('is one of a server that can be reached, in plain text or in JSON', () => {
    expect(read('10.0.0.1:80\n')).toMatchObject({ ok: true, value: { address: { host: '10.0.0.1', port: 80 } } });
    expect(read('{"address":"[fd00::1]:80","weight":1e2}')).toMatchObject({ ok: true, value: { weight: 100 } });
  });

  test.each([
    ['0.0.0.0:80', '"0.0.0.0:80" is not the address of a single server'],
    ['{"address":"::","port":80}', '"[::]:80" is not the address of a single server'],
    ['[::ffff:0.0.0.0]:80', '"[::ffff:0.0.0.0]:80" is not the address of a single server'],
    ['224.0.0.1:80', '"224.0.0.1:80" is not the address of a single server'],
    ['[ff02::1]:80', '"[ff02::1]:80" is not the address of a single server'],
    ['\ufeff10.0.0.1:80', '"\\ufeff10.0.0.1" is not an IPv4 address, an IPv6 address or a host name'],
    ['\u00a010.0.0.1:80', '"\\u00a010.0.0.1" is not an IPv4 address, an IPv6 address or a host name'],
    ['user:SECRET@10.0.0.1:80', '"***@10.0.0.1:80" is not host:port: write an IPv6 host in brackets, as in [::1]:80'],
    ['http://u:SECRET@h', '"***@h" is not host:port: write an IPv6 host in brackets, as in [::1]:80'],
    ['u:SECRET@h', '"***@h" is not a port: 1 to 65535'],
    ['{"address":"SECRET@h","port":80}', '"***@h" is not an IPv4 address, an IPv6 address or a host name'],
    ['{"address":"10.0.0.1","port":"80"}', 'port is not a number from 1 to 65535'],
    [`{"address":"10.0.0.1","port":${deep}}`, 'it is nested more than 16 levels deep'],
    ['{"address":"10.0.0.1:80","weight":257}', 'weight "257" is not a whole number from 0 to 256'],
    ['{"address":"10.0.0.1:80","weight":[[]]}', 'weight is not a number from 0 to 256'],
    ['{"address":"10.0.0.1:80","weight":null}', 'weight is not a number from 0 to 256'],
    ['{"address":"10.0.0.1:80","state":"Ready"}', 'state "Ready" is not one of ready, draining, maintenance'],
    ['{"address":"10.0.0.1:80","meta":{"__proto__":"x"}}', 'meta: "__proto__" is not 1 to 63 of A-Z a-z 0-9 . _ + -'],
    ['{"address":"10.0.0.1:80","meta":{"a":"\\u0001"}}', 'meta.a has a control character'],
    ['{"address":"10.0.0.1:80","meta":{"a":"\\ud800"}}', 'meta.a has a control character'],
    ['{"address":"10.0.0.1:80","address":"10.6.6.6:80"}', '"address" is given twice'],
  ])('%.60s: %s', (value, reason) => {
    expect(read(value)).toEqual({ ok: false, reason });
  });

  test('that was accepted is written so that it is read back', () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, hostileJson, decent), (value) => {
        const first = read(value);
        if (!first.ok) expect(first.reason).toMatch(printable);
        else expect(read(formatInstance(first.value))).toEqual(first);
      }),
      { numRuns: 3000 },
    );
  });
});

const decent = fc
  .record(
    {
      address: fc.constantFrom('10.0.0.1:80', '[FD00::1]:81', 'Host.example:82'),
      weight: fc.integer({ min: -1, max: 257 }),
      state: fc.constantFrom('ready', 'draining', 'maintenance'),
      version: fc.constantFrom('v1', '1.0+x'),
      meta: fc.dictionary(fc.constantFrom('a', 'b-c', '__proto__', 'toString'), hostileText),
      owner: fc.constantFrom('abc', 'a b'),
    },
    { requiredKeys: ['address'] },
  )
  .map((record) => JSON.stringify(record));

const eightTimes = (host: (i: number) => string) =>
  Array.from({ length: 8 }, (_, n) => ({ hosts: Array.from({ length: 64 }, (_, i) => host(n * 64 + i)) }));
const crossing = JSON.stringify({
  routes: [
    ...eightTimes((i) => `a${i}.*`).map((route) => ({ ...route, priority: 1 })),
    ...eightTimes((i) => `*.b${i}.c`),
  ],
});

describe('a policy', () => {
  test.each([
    ['{"mode":"go\\npher"}', 'mode: expected ("http" | "tcp"), not "go\\npher"'],
    [
      '{"hosts":["a b"]}',
      'hosts.0: "a b" is not a host: lower case "shop.example.com", "*.example.com", "shop.*" or "*"',
    ],
    ['{"paths":["/a b"]}', 'paths.0: "/a b" is not a path: "/" and then at most 254 of A-Z a-z 0-9 . _ ~ / @ : + -'],
    [
      `{"hosts":${JSON.stringify(Array.from({ length: 64 }, (_, i) => `h${i}`))},"paths":${JSON.stringify(Array.from({ length: 17 }, (_, i) => `/${i}`))}}`,
      'routes: 1088 pairs of a host and a path are more than 1024',
    ],
    [
      crossing,
      'priority: a less specific host before a more specific one needs 524288 further entries of the route map, more than 4096',
    ],
    ['{"x\\ny":1}', '"x\\ny" is not a field of a policy'],
    ['{"__proto__":{}}', '"__proto__" is not a field of a policy'],
    [
      '{"check":{"kind":"tcp","interval":"10"}}',
      'check.interval: "10" is not a duration: a number with ms, s, m, h or d',
    ],
    ['{"check":{"kind":"tcp","interval":"1ms"}}', 'check.interval: it is not between 50ms and 1h'],
  ])('%.80s: %s', (value, reason) => {
    expect(parsePolicy(value)).toEqual({ ok: false, reason });
  });

  test('is accepted or refused with a reason, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, hostileJson), (value) => {
        const parsed = parsePolicy(value);
        if (!parsed.ok) expect(parsed.reason).toMatch(printable);
      }),
      { numRuns: 3000 },
    );
  });
});
