import { expect, test } from 'vitest';
import { probeConfig } from './bind-probe.ts';
import { globalOf } from './global-probe.ts';
import { listenersIn, toBeTried } from './listeners.ts';

const found = (config: string) =>
  listenersIn(config, 'here').map(({ line, address, options, protocol }) =>
    [line, protocol, address, options].join(' ').trim(),
  );

test('all TCP and UDP sockets of a configuration are found, with what decides whether they can be had', () => {
  const config = `global
    stats socket /run/h.sock
    stats socket 127.0.0.1:9999 level user
frontend _http from _base
    bind 127.0.0.1:80,127.0.0.2:80
    bind [::1]:443 ssl crt-list /x strict-sni alpn h2 v6only # bind :1
    bind quic4@127.0.0.1:443 ssl crt-list /x
    .if feature(QUIC)
    bind 127.0.0.1:81
    .endif
frontend _tcp-db from _base
    bind *:5432 interface eth0 accept-proxy
    bind unix@/run/x
peers p
    bind 127.0.0.1:10000
    server here
peers q
    peer here 127.0.0.1:10001
    peer there 127.0.0.2:10001
log-forward l
    bind 127.0.0.1:10002
    dgram-bind 127.0.0.1:10003
listen admin
  bind :9000-9001
backend b
  server s 127.0.0.1:1
`;
  expect(found(config)).toEqual([
    '3 tcp 127.0.0.1:9999',
    '5 tcp 127.0.0.1:80',
    '5 tcp 127.0.0.2:80',
    '6 tcp [::1]:443 v6only',
    '7 udp quic4@127.0.0.1:443',
    '9 tcp 127.0.0.1:81',
    '12 tcp *:5432 interface eth0',
    '15 tcp 127.0.0.1:10000',
    '18 tcp 127.0.0.1:10001',
    '21 tcp 127.0.0.1:10002',
    '22 udp 127.0.0.1:10003',
    '24 tcp :9000-9001',
  ]);
  expect(found('global\n    localpeer me\npeers p\n    peer me :1\n    peer here :2\n')).toEqual(['4 tcp :1']);
});

test('no address is tried that HAProxy listens on already, however it is written, and none twice', () => {
  const frontend = (...binds: readonly string[]) => `frontend f\n${binds.map((bind) => `    bind ${bind}\n`).join('')}`;
  const tried = (loaded: string, wanted: string) =>
    toBeTried(listenersIn(wanted, 'here'), listenersIn(loaded, 'here')).map(({ address }) => address);
  expect(tried(frontend('10.0.0.1:80'), frontend('10.0.0.1:80,10.0.0.2:80'))).toEqual(['10.0.0.2:80']);
  expect(tried(frontend('10.0.0.1:80,10.0.0.2:80'), frontend('10.0.0.1:80'))).toEqual([]);
  expect(tried(frontend('10.0.0.1:80'), frontend('0.0.0.0:80'))).toEqual([]);
  expect(tried(frontend('*:80'), frontend('10.0.0.1:80'))).toEqual([]);
  expect(tried(frontend('10.0.0.1:80 accept-proxy'), frontend('10.0.0.1:80 ssl crt /x'))).toEqual([]);
  expect(tried('', frontend('10.0.0.1:80', '10.0.0.1:80', '*:80', ':81'))).toEqual(['*:80', ':81']);
});

test('what is tried stays within the conditions and the environment of its configuration', () => {
  const config = `global
    setenv HERE 127.0.0.1
frontend f
    .if feature(QUIC)
    bind quic4@:443 ssl crt /x
    .else
    bind "\${HERE}:80" name x
    .endif
`;
  const lines = probeConfig(config, listenersIn(config, 'here')).split('\n');
  expect(lines.slice(8)).toEqual([
    'global',
    '    setenv HERE 127.0.0.1',
    '    .if feature(QUIC)',
    'log-forward probe-0',
    '    dgram-bind udp4@:443',
    '    log 127.0.0.1:9 local0',
    '    .else',
    'frontend probe-1',
    `    bind "\${HERE}:80"`,
    '    .endif',
    'frontend probe-never',
    '    bind unix@/dev/null/never',
    '',
  ]);
  expect(lines.slice(0, 3)).toEqual(['global', '    maxconn 16', '    noreuseport']);
});

test('the global section ends where another one begins', () => {
  const config = '# made\nglobal\n    maxconn 5\n    .if x\n    .endif\n\ndefaults a\n    mode http\n';
  expect(globalOf(config)).toEqual({ line: 2, text: 'global\n    maxconn 5\n    .if x\n    .endif\n' });
  expect(globalOf('defaults a\n')).toBeUndefined();
});
