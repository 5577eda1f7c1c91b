import { expect, test } from 'vitest';
import { globalOf } from './global-probe.ts';
import { listenersIn } from './listeners.ts';

test('the TCP listeners of a configuration are found, with what decides whether they can be had', () => {
  const config = `global
    stats socket /run/h.sock
frontend _http from _base
    bind 127.0.0.1:80
    bind [::1]:443 ssl crt-list /x strict-sni alpn h2 v6only
    bind quic4@127.0.0.1:443 ssl crt-list /x
    .if feature(QUIC)
    bind 127.0.0.1:81
    .endif
frontend _tcp-db from _base
    bind *:5432 interface eth0 accept-proxy
    bind unix@/run/x
peers p
    bind 127.0.0.1:10000
listen admin
  bind :9000-9001
`;
  expect(listenersIn(config)).toEqual([
    { line: 4, address: '127.0.0.1:80', bind: 'bind 127.0.0.1:80' },
    { line: 5, address: '[::1]:443', bind: 'bind [::1]:443 v6only' },
    { line: 11, address: '*:5432', bind: 'bind *:5432 interface eth0' },
    { line: 16, address: ':9000-9001', bind: 'bind :9000-9001' },
  ]);
});

test('the global section ends where another one begins', () => {
  const config = '# made\nglobal\n    maxconn 5\n    .if x\n    .endif\n\ndefaults a\n    mode http\n';
  expect(globalOf(config)).toEqual({ line: 2, text: 'global\n    maxconn 5\n    .if x\n    .endif\n' });
  expect(globalOf('defaults a\n')).toBeUndefined();
});
