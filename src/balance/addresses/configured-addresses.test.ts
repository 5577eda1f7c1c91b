import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { ownListeners } from './configured-addresses.ts';

test('a haproxy.cfg says where HAProxy listens', () => {
  const config = [
    'global',
    '    stats socket ipv4@127.0.0.1:79 level admin',
    'frontend a',
    '    bind 127.0.0.1:80',
    '    bind [::1]:81 ssl crt-list x',
    '  bind :82,*:83 v4v6',
    '    bind quic4@0.0.0.0:443 ssl',
    '    bind unix@/run/x.sock',
    '    bind ipv4@10.0.0.1:84',
    '    # bind 1.2.3.4:5',
    '    http-request set-header bind 9.9.9.9:1',
    'peers p',
    `    peer ${hostname()} 127.0.0.1:85`,
    '    peer another 10.0.0.2:86',
    'listen b',
    '    bind :1000-1999',
  ].join('\n');
  expect(ownListeners(config).map(({ host, port, lastPort }) => `${host} ${port}-${lastPort}`)).toEqual([
    ...['127.0.0.1 79-79', '127.0.0.1 80-80', '::1 81-81', '0.0.0.0 82-82', '0.0.0.0 83-83', '10.0.0.1 84-84'],
    ...['127.0.0.1 85-85', '0.0.0.0 1000-1999'],
  ]);
});
