import { describe, expect, test } from 'vitest';
import { parseAddressSource, parseNet } from './address-source.ts';

describe('an address', () => {
  test.each([
    ['10.0.0.7:80', { kind: 'given', address: { host: '10.0.0.7', port: 80, family: 'ipv4' } }],
    ['[2001:db8::7]:80', { kind: 'given', address: { host: '2001:db8::7', port: 80, family: 'ipv6' } }],
    [':8080', { kind: 'found', port: 8080 }],
    ['env:HOST_ADDRESS', { kind: 'environment', host: 'HOST_ADDRESS', port: undefined }],
    ['env:HOST:PORT_8080', { kind: 'environment', host: 'HOST', port: 'PORT_8080' }],
  ])('%s', (text, value) => {
    expect(parseAddressSource(text)).toEqual({ ok: true, value });
  });

  test.each([
    ['', 'is not host:port'],
    [':', 'is not a port'],
    [':http', 'is not a port'],
    ['0.0.0.0:80', 'is an address to listen on'],
    ['[::]:80', 'is an address to listen on'],
    ['env:', 'is not env:NAME'],
    ['env:A:B:C', 'is not env:NAME'],
    ['env:A:80', 'is not env:NAME'],
    ['env:A B', 'is not env:NAME'],
  ])('%j is refused: %s', (text, reason) => {
    const parsed = parseAddressSource(text);
    expect(parsed.ok ? 'accepted' : parsed.reason).toContain(reason);
  });
});

describe('a net', () => {
  test.each([
    ['eth0', { kind: 'interface', name: 'eth0' }],
    ['br-1a2b', { kind: 'interface', name: 'br-1a2b' }],
    ['10.0.0.0/8', { kind: 'network', family: 'ipv4', address: '10.0.0.0', bits: 8 }],
    ['10.0.0.7', { kind: 'network', family: 'ipv4', address: '10.0.0.7', bits: 32 }],
    ['2001:db8::/32', { kind: 'network', family: 'ipv6', address: '2001:db8::', bits: 32 }],
    ['::/0', { kind: 'network', family: 'ipv6', address: '::', bits: 0 }],
  ])('%s', (text, value) => {
    expect(parseNet(text)).toEqual({ ok: true, value });
  });

  test.each([
    '',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.1.0.0/8',
    '10.0.0.0/8/8',
    '::/129',
    'fe80::1%eth0',
    'a b',
    'a-name-of-16-cha',
  ])('%j is refused', (text) => {
    expect(parseNet(text).ok).toBe(false);
  });
});
