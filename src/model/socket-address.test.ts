import { describe, expect, test } from 'vitest';
import { isSameSocket, mayOverlap, parseSocketAddress, type SocketAddress } from './socket-address.ts';

const at = (text: string, place = ''): SocketAddress => {
  const parsed = parseSocketAddress(text, place);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
};

describe('the addresses that HAProxy listens on', () => {
  test.each([
    ['127.0.0.1:80', { protocol: 'tcp', host: '127.0.0.1', ports: { first: 80, last: 80 } }],
    [':9000-9001', { protocol: 'tcp', host: '0.0.0.0', ports: { first: 9000, last: 9001 } }],
    ['ipv6@:443', { protocol: 'tcp', host: '::', ports: { first: 443, last: 443 } }],
    ['[0:0::1]:443', { protocol: 'tcp', host: '::1', ports: { first: 443, last: 443 } }],
    ['quic4@*:443', { protocol: 'udp', host: '0.0.0.0', ports: { first: 443, last: 443 } }],
    [`"\${HERE}:80"`, { protocol: 'tcp', host: `\${here}`, ports: { first: 80, last: 80 } }],
    [`:\${PORT}`, { protocol: 'tcp', ports: undefined }],
  ])('%s is read', (text, expected) => {
    expect(parseSocketAddress(text, '')).toMatchObject(expected);
  });

  test.each(['/run/x.sock', 'unix@/run/x', 'abns@x', 'fd@3', 'rhttp@x', 'sockpair@3'])('%s is another kind', (text) => {
    expect(parseSocketAddress(text, '')).toBeUndefined();
  });

  test.each([
    ['0.0.0.0:80', '127.0.0.1:80', true],
    ['127.0.0.1:80', '127.0.0.1:80', true],
    ['127.0.0.1:80', '127.0.0.2:80', false],
    ['127.0.0.1:80', '127.0.0.1:81', false],
    [':80-90', '127.0.0.1:85', true],
    [':::80', '127.0.0.1:80', true],
    ['[::1]:80', '127.0.0.1:80', false],
    ['[::1]:80', '0.0.0.0:80', false],
    ['127.0.0.1:443', 'quic4@127.0.0.1:443', false],
    ['localhost:80', '127.0.0.1:80', true],
    [`:\${PORT}`, '127.0.0.1:80', true],
  ])('a connection to %s may be one to %s: %s', (one, other, expected) => {
    expect(mayOverlap(at(one), at(other))).toBe(expected);
    expect(mayOverlap(at(other), at(one))).toBe(expected);
  });

  test('sockets of two interfaces do not meet, and one of all interfaces meets both', () => {
    expect(mayOverlap(at(':80', 'interface a'), at(':80', 'interface b'))).toBe(false);
    expect(mayOverlap(at(':80', 'interface a'), at(':80'))).toBe(true);
    expect(isSameSocket(at(':80', 'interface a'), at(':80'))).toBe(false);
    expect(isSameSocket(at('*:80'), at('0.0.0.0:80'))).toBe(true);
  });
});
