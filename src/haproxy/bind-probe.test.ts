import { expect, test } from 'vitest';
import { failuresIn, listeningSockets } from './bind-probe.ts';

test.each([
  [
    '2.6',
    '[ALERT]    (1) : Binding [/x/p:9] for frontend probe-0: cannot bind socket (Address already in use) for [127.0.0.1:36091]',
  ],
  [
    '3.0 and later',
    '[ALERT]    (1) : Binding [/x/p:9] for frontend probe-0: protocol tcpv4: cannot bind socket (Address already in use) for [127.0.0.1:36091].',
  ],
])('an address that HAProxy %s cannot bind is told by the number of its frontend, once', (_, line) => {
  const never = line
    .replace('probe-0', 'probe-1')
    .replace(/cannot bind.*/, 'error when trying to unlink [/dev/null/x]');
  const low = line.replace('probe-0', 'probe-12').replace('Address already in use', 'Permission denied');
  expect([...failuresIn([line, line, never, low].join('\n'))]).toEqual([
    [0, 'Address already in use'],
    [12, 'Permission denied'],
  ]);
});

test('the sockets that listen on a port are found in the tables of the kernel', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:8CFB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16170 1 0000000000000000
   1: 0100007F:8CFB 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 16171 1 0000000000000000
   2: 0100007F:8CFC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16172 1 0000000000000000
`;
  expect(listeningSockets(table, 36091, 'tcp')).toEqual(['16170']);
});
