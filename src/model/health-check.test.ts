import { expect, test } from 'vitest';
import { parseHealthCheck } from './health-check.ts';

const none = { host: undefined, port: undefined };

test.each([
  ['none', { kind: 'none' }],
  ['tcp', { kind: 'tcp', ...none }],
  ['tcp://:8080', { kind: 'tcp', host: undefined, port: 8080 }],
  ['tcp://db:1', { kind: 'tcp', host: 'db', port: 1 }],
  ['tcp://[::1]:1', { kind: 'tcp', host: '::1', port: 1 }],
  ['http://', { kind: 'http', tls: 'none', ...none, path: '/' }],
  ['http:///health', { kind: 'http', tls: 'none', ...none, path: '/health' }],
  ['http://:8080/health?x=1', { kind: 'http', tls: 'none', host: undefined, port: 8080, path: '/health?x=1' }],
  ['https://app/', { kind: 'http', tls: 'verified', host: 'app', port: undefined, path: '/' }],
  ['https+insecure://[::1]/', { kind: 'http', tls: 'unverified', host: '::1', port: undefined, path: '/' }],
  ['cmd: test -f /ready ', { kind: 'command', line: 'test -f /ready' }],
])('%s', (text, check) => {
  expect(parseHealthCheck(text)).toEqual({ ok: true, value: check });
});

test.each([
  ['', 'is not a health check'],
  ['ping', 'is not a health check'],
  ['ftp://x', 'is not a health check'],
  ['cmd: ', 'a command is missing'],
  ['tcp://:80/x', 'has no path'],
  ['http://:0/', 'is not a port'],
  ['http://a b/', 'is not an IPv4 address'],
  ['http://u@h/', 'is not an IPv4 address'],
  ['http://::1/', 'is not'],
  ['http:///a b', 'is not a path'],
  ['http:///a\r\nHost: x', 'is not a path'],
  ['http://?x', 'is not a path'],
  ['http:///é', 'is not a path'],
])('%j is refused: %s', (text, reason) => {
  const parsed = parseHealthCheck(text);
  expect(parsed.ok ? 'accepted' : parsed.reason).toContain(reason);
});
